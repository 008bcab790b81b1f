"""The scaling law of a training loss that knows the learning rate's schedule (Tissue et al. 2024, Eq. 1).

    L(n) = L₀ + A·S₁(n)^−α − C·S₂(n)
    S₁ = ∫₀ⁿ η(v) dv / η_peak                      what was trained, in samples at the peak rate
    S₂ = ∫₀ⁿ e^(−(n−v)/M) (η_peak − η(v)) dv / η_peak    the annealing area, over the samples since the peak

n counts samples over all domains. A power law of n is the case of a constant rate. S₁ and S₂ are the paper's sums
in the limit of many steps: Σ η_i, and Σ m_i with m_i = λ·m_(i−1) + η_(i−1) − η_i, whose memory 1/(1 − λ) is M. Only
the rate relative to its peak matters, as A and C take the rest. In the warm-up S₁ holds the rate as it was; the
paper takes its peak there, which short runs, whose fits see the warm-up, do not bear out. The rise is no annealing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixopt.arrays import Bools, Floats, Indices
from mixopt.laws.domain_law import DomainLaws


@dataclass(frozen=True, kw_only=True)
class RateSchedule:
    """A learning rate that rises linearly from 0 and falls to its last value; beyond the end, as at the end."""

    total: float  # samples of the whole run
    shape: Literal["cosine", "linear"]  # of the fall
    warmup: float  # share of the run in which the rate rises
    final: float  # the last rate as a share of the peak
    # M as a share of the run: how fast a fall of the rate takes effect on the loss. The paper's λ of 0.999 is 1,000
    # steps.
    memory: float

    def _fall(self, samples: ArrayLike) -> tuple[Floats, Floats]:
        """How far the run is, 0 to 1, and how far the fall of the rate is, 0 to 1."""
        run = np.clip(np.asarray(samples, dtype=np.float64) / self.total, 0.0, 1.0)
        return run, np.maximum(run - self.warmup, 0.0) / (1 - self.warmup)

    def rate(self, samples: ArrayLike) -> Floats:
        """η(n)/η_peak, of the shape of n."""
        run, fall = self._fall(samples)
        fallen = fall if self.shape == "linear" else (1 - np.cos(np.pi * fall)) / 2
        return np.where(run < self.warmup, run / (self.warmup or 1.0), 1 - (1 - self.final) * fallen)

    def forward(self, samples: ArrayLike) -> Floats:
        """S₁(n) in samples, of the shape of n."""
        run, fall = self._fall(samples)
        rise = np.minimum(run, self.warmup)
        lost = fall**2 / 2 if self.shape == "linear" else (fall - np.sin(np.pi * fall) / np.pi) / 2
        kept = (1 - self.warmup) * (fall - (1 - self.final) * lost)
        return self.total * (rise**2 / (2 * (self.warmup or 1.0)) + kept)

    def annealing(self, samples: ArrayLike) -> Floats:
        """S₂(n) in samples, of the shape of n; 0 until the rate falls."""
        _, fall = self._fall(samples)
        memory = self.memory / (1 - self.warmup)
        left = -memory * np.expm1(-fall / memory)  # ∫ e^(−(p−v)/memory) dv from 0 to p
        if self.shape == "linear":
            area = memory * (fall - left)
        else:
            pull = 1 / memory
            wave = pull * (np.cos(np.pi * fall) - np.exp(-fall * pull)) + np.pi * np.sin(np.pi * fall)
            area = (left - wave / (pull**2 + np.pi**2)) / 2
        return self.total * (1 - self.warmup) * (1 - self.final) * np.maximum(area, 0.0)


@dataclass(frozen=True, eq=False)
class AnnealingLaws:
    """Laws of K domains under one schedule; NaN in all parameters of a domain that has none."""

    forward: DomainLaws  # L₀ + A·S₁^−α, power laws whose n is S₁
    annealing: Floats  # (K,) C, nats/token and sample of S₂; at least 0
    schedule: RateSchedule  # of the learning rate

    @classmethod
    def none(cls, domains: int, schedule: RateSchedule) -> AnnealingLaws:
        """No law for any of `domains`."""
        return cls(DomainLaws.none(domains), np.full(domains, np.nan), schedule)

    @property
    def known(self) -> Bools:
        """(K,) which domains have a law."""
        return self.forward.known & np.isfinite(self.annealing)

    def loss(self, samples: ArrayLike) -> Floats:
        """The forecast L̂(n) in nats/token: (K,) for one n, (…, K) for n of shape (…)."""
        area = self.schedule.annealing(samples)
        return self.forward.loss(self.schedule.forward(samples)) - self.annealing * area[..., None]

    def speed(self, samples: ArrayLike) -> Floats:
        """The learning speed α·A·S₁^−α/S₁ · η(n)/η_peak, nats/token and sample: shapes as for `loss`.

        It is −dL̂/dn without the annealing's part. That part comes when the schedule says, whatever is drawn: it is
        what a domain's losses give back of the noise of large steps, and at the end of a run most of all that they
        still fall. To credit it would draw the noisiest domain and not the one that there is most to learn from.
        """
        return self.forward.speed(self.schedule.forward(samples)) * self.schedule.rate(samples)[..., None]

    def updated(self, other: AnnealingLaws, where: Bools) -> AnnealingLaws:
        """These laws with those of `other` for the domains `where` (K,)."""
        annealing = np.where(where, other.annealing, self.annealing)
        return AnnealingLaws(self.forward.updated(other.forward, where), annealing, self.schedule)

    def some(self, domains: Indices) -> AnnealingLaws:
        """The laws of the domains with these numbers; −1 for no law."""
        return AnnealingLaws(
            self.forward.some(domains), np.where(domains < 0, np.nan, self.annealing[domains]), self.schedule
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values, None for NaN, without the schedule."""
        annealing = [float(x) if np.isfinite(x) else None for x in self.annealing]
        return {**self.forward.to_dict(), "annealing": annealing}

    @classmethod
    def from_dict(cls, values: dict[str, Any], schedule: RateSchedule) -> AnnealingLaws:
        """The inverse of `to_dict`, exact."""
        return cls(DomainLaws.from_dict(values), np.array(values["annealing"], dtype=np.float64), schedule)


Laws = DomainLaws | AnnealingLaws


def no_laws(domains: int, schedule: RateSchedule | None) -> Laws:
    """No law for any of `domains`: of the kind that knows the schedule, or power laws without one."""
    return DomainLaws.none(domains) if schedule is None else AnnealingLaws.none(domains, schedule)


def laws_from_dict(values: dict[str, Any], schedule: RateSchedule | None) -> Laws:
    """What `to_dict` of either kind gave."""
    return DomainLaws.from_dict(values) if schedule is None else AnnealingLaws.from_dict(values, schedule)
