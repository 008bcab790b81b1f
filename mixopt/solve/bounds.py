"""Floors and caps of a mixture: from options, and from how much text there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.arrays import Bools, Floats
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from mixopt.mixture import Mixture


# Bounds that miss feasibility by rounding alone are feasible: 0.2 + 0.2 + … may sum to 1 + 2e-16.
SLACK = 1e-12
# A weight this near to a bound is at it.
AT_BOUND = 1e-9


@dataclass(frozen=True, eq=False)
class Bounds:
    """floor ≤ w ≤ cap for each domain, with at least one mixture between them.

    Raises:
        ConfigError: no mixture satisfies them; the message says which of them stand in the way.
    """

    domains: tuple[str, ...]  # m names
    floors: Floats  # (m,) from 0 to 1
    caps: Floats  # (m,) from 0 to 1

    def __post_init__(self) -> None:
        for name in ("floors", "caps"):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.shape != (len(self.domains),):
                raise ConfigError(f"{name}: expected one for each of {len(self.domains)} domains, found {array.shape}")
            for domain, value in zip(self.domains, array, strict=True):
                if not 0 <= value <= 1:
                    raise ConfigError(f"{name}: expected a weight from 0 to 1 for {domain!r}, found {value:g}")
            object.__setattr__(self, name, array)
        for domain, floor, cap in zip(self.domains, self.floors, self.caps, strict=True):
            if floor > cap:
                raise ConfigError(f"bounds: the floor of {domain!r}, {floor:.4g}, is above its cap, {cap:.4g}")
        if self.floors.sum() > 1 + SLACK:
            raise ConfigError(
                f"floors: they sum to {self.floors.sum():.4g}, which leaves no mixture: "
                f"{self._named(self.floors, self.floors > 0)}; lower them"
            )
        if self.caps.sum() < 1 - SLACK:
            raise ConfigError(
                f"caps: they sum to {self.caps.sum():.4g}, below 1, which leaves no mixture: "
                f"{self._named(self.caps, self.caps < 1)}; allow more epochs or fewer target tokens"
            )

    def _named(self, values: Floats, which: Bools) -> str:
        return ", ".join(f"{d} {v:.4g}" for d, v, on in zip(self.domains, values, which, strict=True) if on)

    def at_floor(self, weights: Floats) -> Bools:
        """(…, m) which of the weights (…, m) are at their floors."""
        return weights <= self.floors + AT_BOUND

    def at_cap(self, weights: Floats) -> Bools:
        """(…, m) which of the weights (…, m) are at their caps."""
        return weights >= self.caps - AT_BOUND

    def prices(self, weights: Floats, multipliers: Floats) -> dict[str, float]:
        """Of (m,) multipliers those of domains at a bound, by name."""
        at_bound = self.at_floor(weights) | self.at_cap(weights)
        return {d: float(price) for d, price, at in zip(self.domains, multipliers, at_bound, strict=True) if at}

    @classmethod
    def free(cls, domains: Sequence[str]) -> Bounds:
        """The whole simplex."""
        return cls(tuple(domains), np.zeros(len(domains)), np.ones(len(domains)))


@dataclass(frozen=True)
class Supply:
    """How much text there is for the training that the mixture is meant for.

    Raises:
        ConfigError: a number is not positive.
    """

    available: Mapping[str, float]  # distinct training tokens by domain
    target_tokens: float  # tokens of that training
    # most passes over a domain's tokens; None for no cap (epochs are then only reported)
    max_epochs: float | None = None

    def __post_init__(self) -> None:
        for domain, tokens in self.available.items():
            if not (math.isfinite(tokens) and tokens >= 0):
                raise ConfigError(f"available tokens of {domain!r}: expected a count, found {tokens}")
        if not self.target_tokens > 0:
            raise ConfigError(f"target tokens: expected a count above 0, found {self.target_tokens}")
        if self.max_epochs is not None and not self.max_epochs > 0:
            raise ConfigError(f"max epochs: expected a number above 0, found {self.max_epochs}")

    def _tokens(self, domains: Sequence[str]) -> Floats:
        missing = [d for d in domains if d not in self.available]
        if missing:
            raise ConfigError(f"available tokens: none given for {missing[0]!r}; every domain needs its count")
        return np.array([float(self.available[d]) for d in domains])

    def caps(self, domains: Sequence[str]) -> Floats:
        """(m,) greatest weights: max_epochs · available_j / target_tokens, at most 1."""
        tokens = self._tokens(domains)
        if self.max_epochs is None:
            return np.ones(len(domains))
        return np.minimum(1.0, self.max_epochs * tokens / self.target_tokens)

    def epochs(self, mixture: Mixture) -> dict[str, float]:
        """Passes over each domain's tokens when `mixture` is trained on for the target tokens."""
        tokens = self._tokens(mixture.domains)
        wanted = mixture.array * self.target_tokens
        return {
            domain: (want / have if have else (math.inf if want else 0.0))
            for domain, want, have in zip(mixture.domains, wanted.tolist(), tokens.tolist(), strict=True)
        }


def parse_floor(text: str | float, domains: int) -> float:
    """The floor that every one of `domains` domains gets.

    Args:
        text: a weight (`0.02`), or a multiple of the uniform share (`0.2x` is 0.2 / m).

    Raises:
        ConfigError: it is neither.
    """
    word = str(text).strip().lower()
    try:
        value = float(word.removesuffix("x")) / (domains if word.endswith("x") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ConfigError(f"floor: expected a weight such as 0.02, or 0.2x (of uniform), found {text!r}")
    return value


def make_bounds(domains: Sequence[str], floor: str | float | Floats = 0.0, supply: Supply | None = None) -> Bounds:
    """Bounds from a floor and from what there is to train on.

    Args:
        floor: an option (see `parse_floor`), or (m,) weights; the latter yield to caps below them.
        supply: for caps; None for none.

    Raises:
        ConfigError: no mixture satisfies them.
    """
    names = tuple(domains)
    caps = supply.caps(names) if supply else np.ones(len(names))
    if isinstance(floor, np.ndarray):
        return Bounds(names, np.minimum(floor, caps), caps)
    return Bounds(names, np.full(len(names), parse_floor(floor, len(names))), caps)


def project(points: Floats, floors: Floats, caps: Floats, metric: Floats | None = None) -> Floats:
    """argmin_w ½ Σ_j d_j (w_j − v_j)² over {Σw = 1, floor ≤ w ≤ cap}.

    The minimiser is w_j = clip(v_j − τ/d_j, floor_j, cap_j) for the one τ at which the sum is 1. The sum is
    piecewise linear in τ and falls, with a kink where a domain leaves its cap (τ = d(v − cap)) or reaches its floor
    (τ = d(v − floor)): the kinks are sorted, and τ is interpolated between the two on either side of sum 1.

    Args:
        points: (…, m) v.
        floors: (…, m), sum at most 1.
        caps: (…, m), sum at least 1; not below `floors`.
        metric: (…, m) d > 0; None for the Euclidean projection.

    Returns:
        (…, m), sum 1 to rounding.
    """
    d = np.ones_like(points) if metric is None else metric
    shape = np.broadcast_shapes(points.shape, floors.shape, caps.shape, d.shape)
    v, lo, hi, d = (np.broadcast_to(array, shape) for array in (points, floors, caps, d))

    kinks = np.sort(np.concatenate([d * (v - hi), d * (v - lo)], axis=-1), axis=-1)  # (…, 2m)

    def total(tau: Floats) -> Floats:
        return np.clip(v - tau[..., None] / d, lo, hi).sum(axis=-1)

    # The last kink at which the sum is still at least 1, by bisection over the sorted kinks.
    left = np.zeros(shape[:-1], dtype=np.int64)
    right = np.full(shape[:-1], kinks.shape[-1] - 1)
    for _ in range(int(np.ceil(np.log2(kinks.shape[-1]))) + 1):
        middle = (left + right + 1) // 2
        enough = total(np.take_along_axis(kinks, middle[..., None], -1)[..., 0]) >= 1
        left, right = np.where(enough, middle, left), np.where(enough, right, middle - 1)
        right = np.maximum(left, right)
    at = np.take_along_axis(kinks, left[..., None], -1)[..., 0]
    after = np.take_along_axis(kinks, np.minimum(left + 1, kinks.shape[-1] - 1)[..., None], -1)[..., 0]
    sum_at, sum_after = total(at), total(after)
    fall = sum_at - sum_after
    share = np.where(fall > 0, (sum_at - 1) / np.where(fall > 0, fall, 1.0), 0.0)
    tau = at + np.clip(share, 0.0, 1.0) * (after - at)
    return np.clip(v - tau[..., None] / d, lo, hi)
