"""MixturePolicy: who decides the mixture of each training step. numpy only: no torch, no ray."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mixopt.arrays import Floats, Ints
    from mixopt.mixture import Mixture
    from mixopt.policy.loss_curve import Points

    Option = float | int | bool | str


class MixturePolicy(Protocol):
    """What the training loop asks of a policy; K domains, in the order of the data's.

    Save, load and continue is bitwise equal to going on.
    """

    @abstractmethod
    def weights(self, step: int) -> Floats:
        """The mixture of `step`, shape (K,), on the simplex; no side effects."""

    @abstractmethod
    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Take in what `step` measured.

        Args:
            step: the step that was trained; every step comes once, in order, at the latest before the weights of
                `step + 2` are asked for (the loop reads losses a step late, so that the device never waits).
            loss_k: (K,) mean training loss by domain, nats/token; NaN where a domain was absent.
            tokens_k: (K,) training tokens by domain in this step.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs, as JSON values and numpy arrays."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly from `state_dict`'s moment."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a run goes, so far as a policy may have to know it; None where a loop that is not ours does not tell."""

    steps: int | None = None  # optimiser steps
    tokens: int | None = None  # training tokens
    batch_tokens: int | None = None  # tokens of a step
    sequence_length: int | None = None  # tokens of a sequence
    lr_schedule: str | None = None  # shape of the learning rate's fall, `cosine` or `linear`
    lr_warmup: float | None = None  # share of the run before it
    lr_final: float | None = None  # the last learning rate as a share of its peak


@dataclass(frozen=True)
class Part:
    """Something that a policy says of itself by domain (`SelfDescribing`), and how it is shown."""

    key: str  # its name in what `describe` gives
    label: str  # of the axis, and in a page's menu
    file: str = ""  # name of its picture; none for none
    headline: str = ""  # above that
    log: bool = False  # on a logarithmic axis
    per_sample: bool = False  # it is per sample of the setting `tokens_per_sample`; shown per million tokens


class Policy(MixturePolicy, ABC):
    """A `MixturePolicy` that can be asked for by name: a file with its class, and a line in `POLICIES`.

    Args:
        prior: the mixture that it starts from. Arguments after it are the policy's options, values that JSON has.
    """

    summary: ClassVar[str] = ""  # what it does, for help texts
    # options that tell its kinds apart, the main one first, each with its values, the usual one first
    variants: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    parts: ClassVar[tuple[Part, ...]] = ()  # what is shown of its trace

    @abstractmethod
    def __init__(self, prior: Mixture) -> None: ...

    @classmethod
    def from_run(cls, course: Course, given: Mapping[str, Option]) -> dict[str, Option | None]:  # noqa: ARG003
        """Options that follow from the run, and from those given; None for one that cannot be told."""
        return {}


def by_domain(domains: Sequence[str], parts: Mapping[str, Floats]) -> dict[str, dict[str, float | None]]:
    """Parts (K,) of a mixture as `SelfDescribing.describe` gives them; None for what is not finite."""
    return {
        name: {d: float(x) if math.isfinite(x) else None for d, x in zip(domains, part, strict=True)}
        for name, part in parts.items()
    }


def require_same(policy: str, saved: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Refuse a saved state in which something of `ours` has another value.

    Raises:
        ConfigError: it has; the message says what.
    """
    for name, value in ours.items():
        if saved[name] != value:
            raise ConfigError(
                f"{policy}: the saved state has {name} {saved[name]}, this policy {value}: continue with the same"
            )


@runtime_checkable
class LossWeighting(MixturePolicy, Protocol):
    """A policy that also weighs the losses of each step, by how far the model is behind a frozen reference."""

    def loss_weights(self, step: int, excess_k: Floats, tokens_k: Ints) -> Floats:
        """Take in a step's excess losses, and give the weights of the losses of the same step.

        Called once a step and in order, between the forward pass and the backward pass of the whole batch.

        Args:
            excess_k: (K,) mean over each domain's tokens of max(loss − the reference's loss, 0), nats/token; NaN
                where a domain was absent.
            tokens_k: (K,) training tokens by domain in this step.

        Returns:
            (K,) weight of each domain's tokens in the loss, up to a common factor.
        """
        ...


@runtime_checkable
class SelfDescribing(MixturePolicy, Protocol):
    """A policy that says what its mixture is made of; a run's trace keeps that at every evaluation."""

    def describe(self) -> dict[str, dict[str, float | None]]:
        """Parts by name, each by domain; None where a domain has no such number."""
        ...


@runtime_checkable
class LawFitting(SelfDescribing, Protocol):
    """A policy that fits laws to the losses; a run's trace keeps them whenever there are new ones.

    Attributes:
        settings: everything that it was set to; its `to_dict` gives JSON values.
        laws: the laws in use; their `to_dict` gives K values for each parameter, None for a domain without a law.
        refits: every fit that was adopted, oldest first, each with its `outcome` by domain (`ok`, or why it was
            refused).
        failures: counts by domain of what went wrong, by kind.
        samples: n so far, the unit of the laws.
    """

    @property
    def settings(self) -> Any: ...  # noqa: D102
    @property
    def laws(self) -> Any: ...  # noqa: D102
    @property
    def refits(self) -> Sequence[Any]: ...  # noqa: D102
    @property
    def failures(self) -> dict[str, dict[str, int]]: ...  # noqa: D102
    @property
    def samples(self) -> float: ...  # noqa: D102

    def forecast(self, samples: ArrayLike) -> Floats:
        """(K,) losses at n that the laws in use forecast, nats/token; NaN without a law."""
        ...

    def points(self) -> Points:
        """The losses that the laws are fitted to."""
        ...
