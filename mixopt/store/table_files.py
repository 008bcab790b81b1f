"""Export and import of the results table.

A `.csv` has the columns that `mixopt recommend --runs` reads. A `.jsonl` (or `.jsonl.gz`) has one JSON object a
line, `{"run": …}`, `{"scores": …}` or `{"study": …}`, and loses nothing: imported elsewhere it gives the same rows,
curves and scores.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from mixopt.errors import MixoptError, StoreError
from mixopt.files import replacing
from mixopt.result import RunResult
from mixopt.role import Role
from mixopt.score import Score
from mixopt.spec import RunSpec
from mixopt.store.schema import disk_error

if TYPE_CHECKING:
    from mixopt.store.table import Store


def export_runs(store: Store, path: str | Path, run_ids: Iterable[str] | None = None) -> int:
    """Write runs to `path`: `.csv` for `mixopt recommend --runs`, `.jsonl` or `.jsonl.gz` with nothing lost.

    Returns:
        The number of runs written; the file is whole, or not there.

    Raises:
        StoreError: an unknown ending, or the file cannot be written.
    """
    path = Path(path)
    ids = [row["run_id"] for row in store.rows()] if run_ids is None else list(run_ids)
    ending = _ending(path)
    write = {".csv": _write_csv, ".jsonl": _write_jsonl, ".jsonl.gz": _write_jsonl}.get(ending)
    if write is None:
        raise StoreError(f"export to {path}: expected a name that ends in .csv, .jsonl or .jsonl.gz")
    try:
        with replacing(path) as unfinished, _open(unfinished, "wt", ending) as file:
            return write(store, file, ids)
    except OSError as error:
        raise disk_error(error, path) from error


def import_runs(store: Store, path: str | Path) -> int:
    """Take in a `.jsonl` or `.jsonl.gz` that `export_runs` wrote; runs that are finished here stay as they are.

    Returns:
        The number of runs that were new, or that replaced an unfinished one.

    Raises:
        StoreError: the file cannot be read, or a line of it is wrong; the lines before it are kept.
    """
    path = Path(path)
    if _ending(path) == ".csv":
        raise StoreError(
            f"import of {path}: a CSV has no specs; `mixopt recommend --runs {path}` works on it, and "
            "`mixopt runs export FILE.jsonl` writes what can be imported"
        )
    count = 0
    try:
        with _open(path, "rt", _ending(path)) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    count += _take_in(store, line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise StoreError(f"import of {path}: cannot be read ({error}); expected a .jsonl that export wrote") from error
    return count


def _take_in(store: Store, line: str, where: str) -> bool:
    try:
        content = json.loads(line)
        if "study" in content:
            study = content["study"]
            links = [(run, Role.of(*role)) for run, *role in study["runs"]]
            store.save_study(study["study_id"], study["command"], study["config"], links)
            return False
        if "scores" in content:
            scored = content["scores"]
            scores = [Score(**score) for score in scored["scores"]]
            store.scores.record(scored["run"], scores, source=scored["source"])
            return False
        run = content["run"]
        spec = RunSpec.from_json(json.dumps(run["spec"]))
        return store.record(spec, RunResult.from_dict(run["result"]), created=run["created"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StoreError(f"import of {where}: no run that export wrote ({reason})") from error
    except MixoptError as error:
        raise StoreError(f"import of {where}: {error}") from error


def _write_jsonl(store: Store, file: IO[str], ids: list[str]) -> int:
    for run_id in ids:
        spec, result = store.get(run_id)
        run = {"spec": spec.to_dict(), "result": result.to_dict(), "created": store.created(run_id)}
        file.write(json.dumps({"run": run}) + "\n")
    sources = store.scores.sources()
    for run_id, scores in store.scores.of(ids).items():
        content = {"run": run_id, "source": sources[run_id], "scores": [score.to_dict() for score in scores]}
        file.write(json.dumps({"scores": content}) + "\n")
    chosen = set(ids)
    for study in store.studies():
        links = [(run, str(role), role.kind, role.name) for run, role in study["runs"] if run in chosen]
        if links:
            file.write(json.dumps({"study": {**study, "runs": links}}) + "\n")
    return len(ids)


def _write_csv(store: Store, file: IO[str], ids: list[str]) -> int:
    frame = store.frame(ids)
    frame = frame[frame["status"] == "finished"] if len(frame) else frame
    # A domain that no run trained on is only measured: it has losses and no column of weights.
    predicted = sorted(set(frame["objective"])) if len(frame) else []
    if len(predicted) > 1:
        raise StoreError(
            "export as CSV: causal and masked runs predict different things and cannot share a file; choose runs "
            "of one study with --study, or export .jsonl"
        )
    losses = "masked_loss." if predicted == ["masked"] else "loss."
    names = [
        name
        for name in frame.columns
        if name.startswith(losses) or (name.startswith("w.") and frame[name].notna().any())
    ]
    # A score that some runs lack would be no column of numbers.
    scored = ("score.", "error.", "score_se.")
    names += [name for name in frame.columns if name.startswith(scored) and frame[name].notna().all()]
    # The weights that were realised in whole sequences, as `Store.history` has them: both then give one answer.
    trained = frame[[name.replace("w.", "tokens.", 1) for name in names if name.startswith("w.")]]
    total = trained.sum(axis=1)
    for name in trained.columns:
        weight = name.replace("tokens.", "w.", 1)
        frame[weight] = (trained[name] / total).where(frame[weight].notna())
    columns = {"run_id": "run", "tokens": "tokens", "seed": "seed", "parameters": "params"}
    chosen = frame[[*columns, *names]].rename(columns=columns)
    chosen.to_csv(file, index=False, lineterminator="\n")
    return len(frame)


def _ending(path: Path) -> str:
    return ".jsonl.gz" if path.name.endswith(".jsonl.gz") else path.suffix.lower()


def _open(path: Path, mode: str, ending: str) -> IO[str]:
    if ending.endswith(".gz"):
        return cast("IO[str]", gzip.open(path, mode, encoding="utf-8"))
    return cast("IO[str]", open(path, mode, encoding="utf-8"))  # noqa: PTH123
