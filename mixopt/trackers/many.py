"""The trackers of a study together: checked before training, and unable to harm it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from mixopt.trackers.base import Tracked, Tracker


def _tensorboard(project: str, folder: Path) -> Tracker:  # noqa: ARG001 (folders are its projects)
    from mixopt.trackers.to_tensorboard import TensorBoard

    return TensorBoard(folder / "tensorboard")


def _wandb(project: str, folder: Path) -> Tracker:
    from mixopt.trackers.to_wandb import WeightsAndBiases

    return WeightsAndBiases(project, folder)


def _mlflow(project: str, folder: Path) -> Tracker:
    from mixopt.trackers.to_mlflow import MLflow

    return MLflow(project, folder)


# By name, which is also that of the library and of the extra that installs it.
TRACKERS: dict[str, Callable[[str, Path], Tracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


@dataclass(frozen=True)
class Trackers:
    """Several trackers as one. A tracker that fails is left out from then on, with one warning.

    Attributes:
        trackers: those that are told, by name; shrinks as they fail.
    """

    trackers: dict[str, Tracker]

    @classmethod
    def open(cls, names: Iterable[str], project: str, folder: Path) -> Trackers:
        """The named trackers.

        Args:
            names: of `TRACKERS`.
            project: project (wandb) or experiment (MLflow) that runs go to.
            folder: where trackers keep files on this machine.

        Raises:
            ConfigError: there is no such tracker, or its library is not installed.
        """
        found: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            if name not in TRACKERS:
                raise ConfigError(f"tracking: expected {', '.join(TRACKERS)}, found {name!r}")
            if importlib.util.find_spec(name) is None:
                raise ConfigError(f"tracking: {name} is not installed; `pip install 'mixopt[{name}]'` does it")
            found[name] = TRACKERS[name](project, folder)
        return cls(found)

    def log(self, run: Tracked) -> Mapping[str, str]:
        """Show a recorded run in every tracker; why some could not, by name."""
        failed: dict[str, str] = {}
        for name, tracker in list(self.trackers.items()):
            try:
                tracker.log(run)
            except Exception as error:  # the run is in the table: whatever a tracker does, the study goes on
                failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
                del self.trackers[name]
                print(
                    f"mixopt: warning: tracker {name} failed at run {run.run_id} and is left out from here on "
                    f"({failed[name]}); nothing is lost, `mixopt runs track --to {name}` shows it the runs later",
                    file=sys.stderr,
                )
        return failed
