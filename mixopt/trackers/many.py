"""The trackers of a study together: checked before training, and unable to harm it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.plugins import Registry
from mixopt.trackers.base import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mixopt.trackers.base import Tracked

TRACKERS: Registry[type[Tracker]] = Registry(
    "tracking",
    "mixopt.trackers",
    {
        "tensorboard": "mixopt.trackers.to_tensorboard:TensorBoard",
        "wandb": "mixopt.trackers.to_wandb:WeightsAndBiases",
        "mlflow": "mixopt.trackers.to_mlflow:MLflow",
    },
    Tracker,
)


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
            names: of `TRACKERS`, or each a `module:Class`.
            project: see `Tracker`.
            folder: see `Tracker`.

        Raises:
            ConfigError: there is no such tracker, or its library is not installed.
        """
        found: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            tracker = TRACKERS.get(name)
            if tracker.library and importlib.util.find_spec(tracker.library) is None:
                raise ConfigError(
                    f"tracking: {tracker.library} is not installed; `pip install '{tracker.package}'` does it"
                )
            found[name] = tracker(project, folder)
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
