"""What one run measured, and what a job gave. Workers return them; only the driver writes to the table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from mixopt.trace import PolicyTrace

if TYPE_CHECKING:
    from mixopt.evaluation import Outcome
    from mixopt.spec import RunSpec

Status = Literal["finished", "diverged", "failed"]

CURVE_COLUMNS = ("step", "tokens", "split", "domain", "loss")


@dataclass(frozen=True, kw_only=True)
class DomainResult:
    """One domain's part of a run."""

    # validation loss at the end, nats/token (of a masked model nats/masked token, on masks that all runs share); None
    # where it was not reached
    loss: float | None
    # the same in bits per byte of the validation text; None for a masked model, which has none
    bits_per_byte: float | None
    # mean training loss since the last point of the curve, in the same unit; None if the domain was absent
    train_loss: float | None
    tokens_seen: int  # training tokens of this domain that the run used
    unique_tokens: int  # distinct training tokens that it could draw on

    @property
    def epochs(self) -> float:
        """Times that the domain's distinct tokens were gone through."""
        return self.tokens_seen / self.unique_tokens if self.unique_tokens else 0.0


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The outcome of a `RunSpec`."""

    run_id: str  # `RunSpec.run_id`
    # `finished`; `diverged` (a loss was not finite: the curve up to there is kept); `failed` (the worker died or raised
    # three times: see `error`)
    status: Status
    # results by domain: the training domains, then those that were only measured (no tokens seen)
    domains: dict[str, DomainResult]
    tokens: int  # training tokens used
    parameters: int  # trained parameters
    flops: float  # training FLOPs of those tokens
    train_seconds: float  # wall time in the training loop, evaluation and checkpoints left out
    seconds: float  # wall time of the run, all attempts
    device: str  # what it ran on, in words (`cpu x1`, `NVIDIA H200`)
    error: str | None = None  # for `failed` and `diverged`, one line on why
    # columns `CURVE_COLUMNS`, equal in length; `split` is `train` or `validation`; loss in nats/token
    curve: dict[str, list[Any]] = field(default_factory=dict)
    # columns `step`, `domain`, `weight`: the policy's mixture at each point of the curve
    mixture: dict[str, list[Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)  # versions of the libraries that made the numbers
    # what the policy did, and why; None where the mixture was fixed
    trace: PolicyTrace | None = field(default=None, repr=False)

    @property
    def tokens_per_second(self) -> float:
        """Training speed, evaluation left out."""
        return self.tokens / self.train_seconds if self.train_seconds > 0 else 0.0

    def losses(self) -> dict[str, float]:
        """Final validation losses (nats/token) by domain, those that there are."""
        return {name: part.loss for name, part in self.domains.items() if part.loss is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the curve and the policy's trace included."""
        return {**asdict(replace(self, trace=None)), "trace": self.trace and self.trace.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RunResult:
        """The inverse of `to_dict`."""
        domains = {name: DomainResult(**part) for name, part in content["domains"].items()}
        trace = content.get("trace")  # results that were written before there were any have none
        return cls(**{**content, "domains": domains, "trace": trace and PolicyTrace.from_dict(trace)})


Run = tuple["RunSpec", RunResult]  # what was asked for, and what came out


@dataclass(frozen=True)
class Ended:
    """What a job gave."""

    result: RunResult | None = None  # of the run; None where nothing was trained
    outcomes: tuple[Outcome, ...] = ()  # of each task of the job, where there is a model to evaluate
