"""One fit of all domains' laws during training: fit, judge, and keep what was good before.

A fit never raises into the training run: whatever fails leaves the domain's last law, and says why.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Bools
from mixopt.laws.ado_fit import LawFit, fit_laws
from mixopt.laws.annealing import AnnealingLaws, Laws, RateSchedule, laws_from_dict
from mixopt.laws.annealing_fit import fit_annealing
from mixopt.laws.huber_newton import LawBounds

if TYPE_CHECKING:
    from mixopt.policy.ado_settings import AdoSettings
    from mixopt.policy.loss_curve import Points

OK = "ok"


@dataclass(frozen=True, eq=False)
class Refit:
    """The laws after one fit."""

    step: int  # the step after whose losses it was made
    samples: float  # n at that step
    laws: Laws  # for each domain the new law, or the last good one where the new one was refused
    outcome: tuple[str, ...]  # (K,) `ok`, or why the new law was refused

    @property
    def refused(self) -> Bools:
        """(K,) domains that kept what they had."""
        return np.array([outcome != OK for outcome in self.outcome])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        laws = self.laws.to_dict()
        return {"step": self.step, "samples": self.samples, "laws": laws, "outcome": list(self.outcome)}

    @classmethod
    def from_dict(cls, values: dict[str, Any], schedule: RateSchedule | None) -> Refit:
        """The inverse of `to_dict`; laws that know a schedule are told it."""
        laws = laws_from_dict(values["laws"], schedule)
        return cls(values["step"], values["samples"], laws, tuple(values["outcome"]))


def refit_laws(step: int, samples: float, points: Points, previous: Laws, settings: AdoSettings) -> Refit:
    """Fit the laws of all domains that have points enough, and judge them."""
    outcome = np.full(points.losses.shape[0], OK, dtype=object)
    counts = (points.weights > 0).sum(axis=1)
    enough = counts >= settings.min_points
    for domain in np.flatnonzero(~enough):
        outcome[domain] = f"{counts[domain]} points, {settings.min_points} needed"
    laws = previous
    if enough.any():
        try:
            fit = _fit(points, enough, previous, settings)
        except Exception as error:  # whatever it is, training goes on
            outcome[enough] = f"the fit failed: {type(error).__name__}: {error}"
        else:
            outcome[enough] = _judge(fit, settings)
            found: Any = fit.laws.some(np.where(enough, np.cumsum(enough) - 1, -1))
            laws = previous.updated(found, outcome == OK)
    return Refit(step, samples, laws, tuple(outcome))


def _fit(points: Points, enough: Bools, previous: Laws, settings: AdoSettings) -> LawFit:
    losses, weights = points.losses[enough], points.weights[enough]
    warm = previous.some(np.flatnonzero(enough))
    if isinstance(warm, AnnealingLaws):
        return fit_annealing(points.samples, losses, weights, schedule=warm.schedule, huber=settings.huber, warm=warm)
    if settings.bounds == "scale_free":
        bounds = LawBounds.scale_free(points.samples, losses)
    else:
        bounds = LawBounds.paper() if settings.bounds == "paper" else LawBounds.official()
    return fit_laws(points.samples, losses, weights, bounds=bounds, huber=settings.huber, warm=warm)


def _judge(fit: LawFit, settings: AdoSettings) -> list[str]:
    outcome = []
    for known, bound, drift in zip(fit.laws.known, fit.bound, fit.drift, strict=True):
        if not known:
            outcome.append("the fit failed: the law is no number")
        elif np.isfinite(settings.max_drift) and bound:
            outcome.append("the exponent is at its upper bound")
        elif abs(drift) > settings.max_drift:
            outcome.append(f"the law misses the recent losses by {drift:+.1%}")
        else:
            outcome.append(OK)
    return outcome


def in_background(job: Callable[[], Refit]) -> Future[Refit]:
    """Do it on a thread of its own, which does not keep the process from ending."""
    future: Future[Refit] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001, RUF100  (raised where the result is asked for)
            future.set_exception(error)

    threading.Thread(target=run, name="mixopt-refit", daemon=True).start()
    return future
