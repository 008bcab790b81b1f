"""What a tracker is told of a run: settings, curves against tokens, final numbers."""

from __future__ import annotations

import importlib.util
import math
import statistics
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mixopt.errors import ConfigError
from mixopt.plugins import Registry

if TYPE_CHECKING:
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec


@dataclass(frozen=True)
class Tracked:
    """A recorded run."""

    spec: RunSpec  # what was asked for
    result: RunResult  # what came out
    study: str  # id of the study that it was trained for
    role: str  # what it is for, in the study's words (`base`, `code x3`)

    @property
    def run_id(self) -> str:
        """The run's identity, in the tracker too."""
        return self.spec.run_id

    @property
    def name(self) -> str:
        """What the tracker shows it as."""
        return f"{self.role}, seed {self.spec.seed}"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that the run's numbers rest on, flat: `optim.lr`, `weight.DOMAIN`, `role`, `study`."""
        content = self.spec.to_dict()
        del content["data"]["domains"], content["policy"]["weights"]
        flat = {"run_id": self.run_id, "study": self.study, "role": self.role, **_flat(content)}
        return flat | {f"weight.{name}": weight for name, weight in self.spec.mixture.to_dict().items()}

    @property
    def _kind(self) -> str:
        # A chart of a tracker shows a metric of all runs: losses of masked tokens are another metric.
        return "masked_" if self.spec.objective == "masked" else ""

    @cached_property
    def curves(self) -> dict[int, dict[str, float]]:
        """Metrics by training tokens, rising.

        `validation_loss/DOMAIN` and `train_loss/DOMAIN` in nats/token, `validation_loss/mean` over the training
        domains, `mixture/DOMAIN` as a share. Of masked models `validation_masked_loss/DOMAIN` and so on.
        """
        points: dict[int, dict[str, float]] = {}
        curve, mixture = self.result.curve, self.result.mixture
        if curve:
            columns = (curve[name] for name in ("tokens", "split", "domain", "loss"))
            for tokens, split, domain, loss in zip(*columns, strict=True):
                points.setdefault(tokens, {})[f"{split}_{self._kind}loss/{domain}"] = loss
        mean = f"validation_{self._kind}loss"
        for metrics in points.values():
            losses = [metrics.get(f"{mean}/{name}") for name in self.spec.data.domains]
            if None not in losses:
                metrics[f"{mean}/mean"] = statistics.fmean(loss for loss in losses if loss is not None)
        if mixture:
            columns = (mixture[name] for name in ("step", "domain", "weight"))
            for step, domain, weight in zip(*columns, strict=True):
                points.setdefault(step * self.spec.optim.batch_tokens, {})[f"mixture/{domain}"] = weight
        return dict(sorted(points.items()))

    @cached_property
    def final(self) -> dict[str, float]:
        """Final numbers, those that there are: losses and so on by domain (`final_loss/DOMAIN`), means, cost."""
        found: dict[str, float] = {}
        loss_name, perplexity_name = f"final_{self._kind}loss", f"final_{self._kind}perplexity"
        for name, part in self.result.domains.items():
            found[f"final_tokens/{name}"] = float(part.tokens_seen)
            found[f"final_epochs/{name}"] = part.epochs
            if part.loss is not None:
                found[f"{loss_name}/{name}"] = part.loss
                found[f"{perplexity_name}/{name}"] = math.exp(part.loss)
            if part.bits_per_byte is not None:
                found[f"final_bits_per_byte/{name}"] = part.bits_per_byte
        losses = [self.result.losses().get(name) for name in self.spec.data.domains]
        if None not in losses:
            known = [loss for loss in losses if loss is not None]
            found[f"{loss_name}/mean"] = statistics.fmean(known)
            found[f"{perplexity_name}/mean"] = statistics.fmean(math.exp(loss) for loss in known)
        cost = {"tokens": self.result.tokens, "flops": self.result.flops, "seconds": self.result.seconds}
        return found | {f"cost/{name}": float(value) for name, value in cost.items()}


def _flat(content: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Nested settings under dotted names; lists as text."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{start}{key}.")
        else:
            found[start + key] = str(value) if isinstance(value, list) else value
    return found


class Tracker(ABC):
    """A place where people watch runs. A new one is a file and a line in `TRACKERS`.

    Args:
        project: what runs belong to, for trackers that have projects.
        folder: where it may keep files on this machine.
    """

    library: ClassVar[str | None] = None  # module that it imports when it logs; None for none
    package: ClassVar[str] = ""  # what to install for that, such as `mixopt[wandb]`

    def __init__(self, project: str, folder: Path) -> None:
        self._project, self._folder = project, folder

    @abstractmethod
    def log(self, run: Tracked) -> None:
        """Show a run; of a run that is there already, the new content takes the place of the old."""


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
    """Several trackers as one. A tracker that fails is left out from then on, with one warning."""

    trackers: dict[str, Tracker]  # those that are told, by name; shrinks as they fail

    @classmethod
    def open(cls, names: Iterable[str], project: str, folder: Path) -> Trackers:
        """The named trackers.

        Args:
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
