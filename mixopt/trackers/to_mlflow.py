"""MLflow: a run a run, tagged with the run's id; on the server `MLFLOW_TRACKING_URI`, else in a local database."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixopt.trackers.base import Tracked, Tracker

# Most of each in one request, by MLflow's REST documentation ("Log Batch").
_METRICS, _PARAMS, _LONGEST_VALUE, _LONGEST_NAME = 1000, 100, 500, 200
_TAG = "mixopt.run_id"


class MLflow(Tracker):
    """Logs with MLflow's client; steps are training tokens.

    Args:
        project: name of the experiment.
        folder: where `mlflow.db` is kept when no server is named.
    """

    library, package = "mlflow", "mixopt[mlflow]"

    def __init__(self, project: str, folder: Path) -> None:
        super().__init__(project, folder)
        self._client: Any = None
        self._experiment = ""

    def log(self, run: Tracked) -> None:
        """Log the run; one that is there already is deleted first (MLflow keeps it among the deleted ones)."""
        from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports] (an extra)

        client = self._connect()
        for old in client.search_runs([self._experiment], f"tags.`{_TAG}` = '{run.run_id}'"):
            client.delete_run(old.info.run_id)
        tags = {_TAG: run.run_id, "study": run.study, "role": run.role, "status": run.result.status}
        if run.result.error:
            tags["error"] = run.result.error
        logged = client.create_run(self._experiment, run_name=run.name, tags=tags).info.run_id
        now = int(time.time() * 1000)
        params = [Param(name_for(key), str(value)[:_LONGEST_VALUE]) for key, value in run.settings.items()]
        metrics = [
            Metric(name_for(name), value, now, tokens)
            for tokens, some in [*run.curves.items(), (run.result.tokens, run.final)]
            for name, value in some.items()
        ]
        for some in _batches(params, _PARAMS):
            client.log_batch(logged, params=some)
        for some in _batches(metrics, _METRICS):
            client.log_batch(logged, metrics=some)
        client.set_terminated(logged, "FINISHED" if run.result.status == "finished" else "FAILED")

    def _connect(self) -> Any:
        """The client, and the experiment made on demand."""
        if self._client is None:
            from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

            address = os.environ.get("MLFLOW_TRACKING_URI")
            if not address:
                self._folder.mkdir(parents=True, exist_ok=True)
                address = f"sqlite:///{(self._folder / 'mlflow.db').absolute()}"
            client = MlflowClient(tracking_uri=address)
            found = client.get_experiment_by_name(self._project)
            self._experiment = found.experiment_id if found else client.create_experiment(self._project)
            self._client = client
        return self._client


def name_for(text: str) -> str:
    """`text` as a name that MLflow allows (letters, digits, `_-./`, spaces); changed ones stay distinct."""
    allowed = re.sub(r"[^\w\-./ ]", "_", text[:_LONGEST_NAME], flags=re.ASCII)
    if posixpath.normpath(allowed) != allowed:  # names are paths to MLflow
        allowed = allowed.replace("/", "_")
    return text if allowed == text else f"{allowed}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
