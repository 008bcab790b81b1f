"""Adaptive data optimisation (Jiang et al. 2024): the mixture follows what scaling laws say is learnt fastest.

A law L̂_k(n) = ε_k + β_k·n^−α_k is fitted to the training losses of each of K domains as they come. Every step,

    credit      λ_k ∝ h_k^s, or (h_k/μ_k)^s              h: moving average of the policy, rate γ1      (Eq. 2)
    preference  ρ_k ∝ μ_k · λ_k · α_k (L̂_k(n) − ε_k)/n   μ: the prior                                  (Eq. 3)
    policy      π = γ2·ρ + (1 − γ2)·π̄, at least δ_min    π̄: running average of ρ                   (Eqs. 4, 5)

n counts samples over all domains. With a schedule-aware law (`mixopt.laws.annealing`) S₁ stands for n: the learning
rate is the same for all, and what annealing gives is no learning. docs/ado.md has the constants, and how paper,
published code and `robust` differ.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from mixopt.arrays import Floats, Ints, pack, unpack
from mixopt.errors import ConfigError
from mixopt.laws.annealing import AnnealingLaws, Laws, laws_from_dict, no_laws
from mixopt.laws.domain_law import DomainLaws
from mixopt.policy.ado_settings import AdoSettings
from mixopt.policy.base import Part, Policy, by_domain, require_same
from mixopt.policy.loss_curve import Points, make_curve
from mixopt.policy.refit import Refit, in_background, refit_laws

if TYPE_CHECKING:
    from mixopt.mixture import Mixture
    from mixopt.policy.base import Course, Option


class Floor:
    """The set of mixtures in which every w_k ≥ floor_k.

    Args:
        floor: (K,), sum at most 1.
    """

    def __init__(self, floor: Floats) -> None:
        self._floor, self._room = floor, 1 - floor.sum()
        self._counts = np.arange(1, floor.size + 1)

    def project(self, weights: Floats) -> Floats:
        """The nearest mixture to `weights` (K,), sum 1: what is missing is taken evenly from the others.

        The sort-based projection onto a simplex (Duchi et al. 2008, Figure 1), shifted by the floors: the case of
        `mixopt.solve.bounds.project` without caps, for one point, at a tenth of its time.
        """
        above = weights - self._floor
        if above.min() >= 0:
            return weights / weights.sum()
        above_sorted = above.copy()
        above_sorted.sort()
        # With the j largest left above the floor, each gives (their sum − room) / j; the right j gives most.
        given = (above_sorted[::-1].cumsum() - self._room) / self._counts
        return np.maximum(above - given.max(), 0.0) + self._floor


def published_clip(weights: Floats, floor: float) -> Floats:
    """Algorithm 2 of Jiang et al. (2024), for weights that sum to 1: raise to the floor, divide by the sum.

    Its deficit, max(floor·K − Σw, 0), is 0 for such weights, so that nothing is spread evenly, and the division
    takes clipped weights below the floor again: 22 domains and all weight on one give 0.0083 at a floor of 0.01.
    """
    total = weights.sum()
    deficit = max(floor * weights.size - total, 0.0)
    raised = np.maximum(weights * ((1 - deficit) / total), floor)
    return raised / raised.sum()


_log = logging.getLogger(__name__)


class Ado(Policy):
    """A `MixturePolicy` by adaptive data optimisation.

    A fit that fails, or that does not pass its checks, leaves a domain's last good law; a domain without any law
    keeps its prior share of ρ, and with no law at all the mixture is the prior. `failures` counts what happened. A
    domain of prior 0 gets nothing (with `clip` other than `projection`, the floor, as published).

    `weights` gives the policy that the last `observe` left, whichever step asks. A loop that reads losses a step
    late thus uses each policy a step late.

    Args:
        prior: μ, the natural token shares in the paper.
        preset: `robust` (ours), `paper` (Algorithm 1 to the letter) or `official` (the published code).
        total_steps: see `AdoSettings.of`.
        constants: any attribute of `AdoSettings`.

    Attributes:
        settings: every constant.
        laws: the laws in use, NaN for domains that have none; n in samples of `tokens_per_sample` tokens.
        refits: every fit so far, in order: with its laws, what a forecast was at that time.
        samples: n so far.

    Raises:
        ConfigError: a constant out of its range, or a floor that leaves no room.
    """

    summary = "more of the domains that scaling laws say are learnt fastest (Jiang et al. 2024)"
    variants: ClassVar = {"preset": ("robust", "paper", "official"), "law": ("power", "schedule-aware")}
    parts = (
        Part("credit", "credit", "credit", "Credit: which domains the last steps drew"),
        Part(
            "speed",
            "slope, nats/token per million tokens",
            "slopes",
            "Slopes of the laws: how fast losses fall",
            log=True,
            per_sample=True,
        ),
        Part("preference", "preference"),
    )

    def __init__(
        self, prior: Mixture, preset: str = "robust", *, total_steps: int | None = None, **constants: Any
    ) -> None:
        self.settings = AdoSettings.of(preset, total_steps=total_steps, **constants)
        self._domains, self._prior = prior.domains, prior.array
        drawn = self._prior > 0 if self.settings.clip == "projection" else np.ones(self._prior.size, dtype=bool)
        floor = np.where(drawn, self.settings.delta_min, 0.0)
        if floor.sum() > 1:
            raise ConfigError(
                f"ado: delta_min: expected at most {1 / drawn.sum():.3g} (1 / {drawn.sum()} domains), found "
                f"{self.settings.delta_min}"
            )
        self._floor = Floor(floor)
        self._credit_unit = np.where(self.settings.relative_credit & (self._prior > 0), self._prior, 1.0)
        self._curve = make_curve(self.settings, self._prior.size)
        self._pending: Future[Refit] | Refit | None = None
        self._adopt_at = 0
        self._tokens, self._policies = 0, 0
        self._unusable = np.zeros(self._prior.size, dtype=np.int64)
        self._refused = np.zeros(self._prior.size, dtype=np.int64)
        self.refits: list[Refit] = []
        # h, π̄, ρ and π; h and π̄ start as the prior (Algorithm 1, line 2).
        self._h = self._average = self._preference = self._weights = _frozen(self._prior)
        self._schedule = self.settings.rate_schedule
        self._use(no_laws(self._prior.size, self._schedule))

    @classmethod
    def from_run(cls, course: Course, given: Mapping[str, Option]) -> dict[str, Option | None]:
        """The run's length and its sequences', and for a law that knows it the learning rate's schedule."""
        found: dict[str, Option | None] = {
            "total_steps": course.steps, "tokens_per_sample": course.sequence_length,
        }  # fmt: skip
        if given.get("law") == "schedule-aware":
            found |= {"total_tokens": course.tokens, "lr_schedule": course.lr_schedule}
            found |= {"lr_warmup": course.lr_warmup, "lr_final": course.lr_final}
        return found

    def weights(self, step: int) -> Floats:
        """π, shape (K,): the prior until there is a policy."""
        return self._weights

    @property
    def samples(self) -> float:
        """n: samples seen over all domains."""
        return self._tokens / self.settings.tokens_per_sample

    def observe(self, step: int, loss_k: Floats, tokens_k: Ints) -> None:
        """Take in a step, fit the laws if it is time, and find the next policy."""
        settings = self.settings
        total = int(tokens_k.sum())
        self._tokens += total
        shares = self._weights
        if settings.credit == "batch":
            shares = tokens_k / total if total else self._h
        self._h = (1 - settings.gamma1) * self._h + settings.gamma1 * shares
        usable = (loss_k > 0) & (loss_k < np.inf)
        if not usable.all():
            self._unusable += (tokens_k > 0) & ~usable
            tokens_k = np.where(usable, tokens_k, 0)
        # At least a token, as the laws take the log of n.
        self._curve.add(step, max(self.samples, 1 / settings.tokens_per_sample), loss_k, tokens_k)
        if settings.refit:
            self._keep_laws(step)
        if step >= settings.first_step and self._has_laws:
            self._advance(step)

    def _keep_laws(self, step: int) -> None:
        """Adopt a fit whose time has come, start one if it is due."""
        pending, settings = self._pending, self.settings
        if pending is not None and step >= self._adopt_at:
            self._pending = None
            self._adopt(pending.result() if isinstance(pending, Future) else pending)
        if not settings.fit_is_due(step):
            return
        job = partial(refit_laws, step, self.samples, self.points(), self.laws, settings)
        if settings.adopt_after:
            self._pending, self._adopt_at = in_background(job), step + settings.adopt_after
        else:
            self._adopt(job())

    def _adopt(self, refit: Refit) -> None:
        refused = refit.refused
        if refused.any() and not self._refused.any():
            first = int(np.flatnonzero(refused)[0])
            _log.warning(
                "ado: the law of %s was refused at step %d (%s); its last good law, or the prior, is kept. Further "
                "ones are only counted.", self._domains[first], refit.step, refit.outcome[first],
            )  # fmt: skip
        self._refused += refused
        self.refits.append(refit)
        self._use(refit.laws)

    def _use(self, laws: Laws) -> None:
        """Precompute what the laws put into every step's preference."""
        self.laws, known = laws, laws.known
        laws = laws.forward if isinstance(laws, AnnealingLaws) else laws
        self._has_laws, self._known = bool(known.any()), known if not known.all() else None
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.log(np.maximum(laws.alpha, self.settings.least_alpha))
            pull = np.log(self._prior) + exponent + laws.log_beta
        self._pull = np.where(known, pull, -np.inf)
        self._alpha = np.where(known, laws.alpha, 0.0)

    def _advance(self, step: int) -> None:
        """ρ(t), π(t) and π̄(t): lines 6, 7 and 10 of Algorithm 1."""
        settings = self.settings
        preference = self._prefer()
        if settings.clip == "preference":
            preference = published_clip(preference, settings.delta_min)
        weights = settings.gamma2 * preference + (1 - settings.gamma2) * self._average
        if settings.clip == "mixture":
            weights = published_clip(weights, settings.delta_min)
        elif settings.clip == "projection":
            weights = self._floor.project(weights)
        clock = step if settings.clock == "absolute" else self._policies
        self._average = preference / (clock + 1) + (1 - 1 / (clock + 1)) * self._average
        self._preference, self._weights = preference, _frozen(weights)
        self._policies += 1

    def _prefer(self) -> Floats:
        """ρ (Eq. 3); the logs keep β of any size from overflowing, and 1/n is the same for all."""
        amount = self.samples if self._schedule is None else float(self._schedule.forward(self.samples))
        power = self._pull - self._alpha * math.log(max(amount, 1e-300))
        top = power.max()
        if not math.isfinite(top):
            return self._prior
        speed = np.exp(power - top) * self._credit()
        total = speed.sum()
        if not total > 0:
            return self._prior
        if self._known is None:
            return speed / total
        lawless = np.where(self._known, 0.0, self._prior)
        return lawless + (1 - lawless.sum()) * speed / total

    def _credit(self) -> Floats:
        """λ (Eq. 2), not normalised."""
        return (self._h / self._credit_unit) ** self.settings.s

    def set_laws(
        self, log_beta: ArrayLike, log_eps: ArrayLike, alpha: ArrayLike, annealing: ArrayLike | None = None
    ) -> None:
        """Use laws from elsewhere from the next `observe` on, until a fit replaces them.

        Args:
            log_beta: (K,) log of the reducible loss at n = 1, n in samples of `tokens_per_sample` tokens.
            log_eps: (K,) log of the irreducible loss, nats/token.
            alpha: (K,) exponents; NaN anywhere for a domain without a law.
            annealing: (K,) C of schedule-aware laws, whose n above is S₁; None for 0.
        """
        if annealing is not None and self._schedule is None:
            raise ConfigError("ado: set_laws: annealing is for the schedule-aware law: give law='schedule-aware'")
        given = (log_beta, log_eps, alpha, np.zeros_like(self._prior) if annealing is None else annealing)
        arrays = [np.array(a, dtype=np.float64) for a in given]
        if any(array.shape != self._prior.shape for array in arrays):
            raise ConfigError(
                f"ado: set_laws: expected {self._prior.size} values (one for each domain) in each of log_beta, "
                f"log_eps, alpha and annealing, found {', '.join(str(a.size) for a in arrays)}"
            )
        self._pending = None
        forward = DomainLaws(*arrays[:3])
        self._use(AnnealingLaws(forward, arrays[3], self._schedule) if self._schedule else forward)

    def forecast(self, samples: ArrayLike) -> Floats:
        """Losses that the present laws forecast at n, nats/token: (K,) for one n, (…, K) for n of shape (…)."""
        return self.laws.loss(samples)

    def points(self) -> Points:
        """The losses by domain that a fit would see now, and n at each."""
        return self._curve.points()

    @property
    def failures(self) -> dict[str, dict[str, int]]:
        """Counts by domain: `refused` laws, and `unusable` losses (no number, infinite, or not above 0)."""
        counts = {"refused": self._refused, "unusable": self._unusable}
        return {name: dict(zip(self._domains, array.tolist(), strict=True)) for name, array in counts.items()}

    def describe(self) -> dict[str, dict[str, float | None]]:
        """What the policy is made of, by domain: `speed` (−dL̂/dn), `credit` λ, `preference` ρ, `policy` π."""
        credit = self._credit()
        speed = self.laws.speed(max(self.samples, 1e-300))
        parts = {"speed": speed, "credit": credit / credit.sum()}
        parts |= {"preference": self._preference, "policy": self._weights}
        return by_domain(self._domains, parts)

    def state_dict(self) -> dict[str, Any]:
        """Everything, as JSON values; waits for a fit under way."""
        pending = self._pending.result() if isinstance(self._pending, Future) else self._pending
        return {
            "domains": list(self._domains),
            "prior": pack(self._prior),
            "settings": self.settings.to_dict(),
            "tokens": self._tokens,
            "policies": self._policies,
            "moving": pack(np.stack([self._h, self._average, self._preference, self._weights])),
            "counts": pack(np.stack([self._unusable, self._refused])),
            "laws": self.laws.to_dict(),
            "refits": [refit.to_dict() for refit in self.refits],
            "pending": {"at": self._adopt_at, "refit": pending.to_dict()} if pending else None,
            "curve": self._curve.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly.

        Raises:
            ConfigError: the state is of other domains, another prior or other settings.
        """
        settings = self.settings.to_dict()
        require_same("ado", state, {"domains": list(self._domains)})
        require_same("ado", state["settings"], {name: settings.get(name) for name in state["settings"]})
        if not np.array_equal(unpack(state["prior"]), self._prior):
            raise ConfigError("ado: the saved state started from another prior: continue with the same")
        self._tokens, self._policies = state["tokens"], state["policies"]
        self._h, self._average, self._preference, weights = unpack(state["moving"])
        self._weights = _frozen(weights)
        self._unusable, self._refused = unpack(state["counts"])
        schedule = self._schedule
        self._use(laws_from_dict(state["laws"], schedule))
        self.refits = [Refit.from_dict(values, schedule) for values in state["refits"]]
        self._pending = None
        if state["pending"]:
            self._pending = Refit.from_dict(state["pending"]["refit"], schedule)
            self._adopt_at = state["pending"]["at"]
        self._curve.load_state_dict(state["curve"])


def _frozen(array: Floats) -> Floats:
    """The array, read-only, as it is given out."""
    array = array.copy()
    array.flags.writeable = False
    return array
