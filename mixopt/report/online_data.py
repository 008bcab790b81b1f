"""What pictures and tables of an online run show, from its `PolicyTrace`: few enough numbers to draw.

Symbols: K domains, X drawn points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.laws.annealing import RateSchedule, laws_from_dict
from mixopt.laws.forecast_error import FRACTIONS, forecast_errors, last_losses
from mixopt.policy.ado_settings import AdoSettings

if TYPE_CHECKING:
    from mixopt.arrays import Floats, Indices
    from mixopt.laws.forecast_error import ForecastError
    from mixopt.spec import RunSpec
    from mixopt.trace import LossPoints, Moment, PolicyTrace


@dataclass(frozen=True, eq=False)
class Forecast:
    """The laws of one moment, and what they said of the rest of the run.

    Attributes:
        fraction: of the run that had been trained.
        tokens: (X,) from the moment to the end, the first being the moment.
        losses: (X, K) nats/token; NaN for a domain without a law.
    """

    fraction: float
    tokens: Floats
    losses: Floats


def schedule_of(spec: RunSpec) -> RateSchedule:
    """The learning rate of a run over its tokens."""
    optim = spec.optim
    return RateSchedule(
        total=spec.tokens, shape=optim.schedule, warmup=optim.warmup, final=optim.final_lr,
        memory=AdoSettings.annealing_memory,
    )  # fmt: skip


def thin(count: int, most: int) -> Indices:
    """At most so many indices below `count`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def tokens_per_step(trace: PolicyTrace) -> float | None:
    """Training tokens of a step; None where nothing says."""
    return trace.moments[-1].tokens / (trace.moments[-1].step + 1) if trace.moments else None


def mixture_course(trace: PolicyTrace, most: int) -> tuple[Floats, Floats]:
    """Amounts (X,) and the mixture there (X, K): training tokens, or steps where their tokens are not known."""
    rows = thin(len(trace.steps), most)
    return (trace.steps[rows] * (tokens_per_step(trace) or 1.0)).astype(np.float64), trace.weights[rows].astype(
        np.float64
    )


def part_course(trace: PolicyTrace, part: str) -> tuple[Floats, Floats]:
    """Tokens (M,) of the accounts that have this part, and the part (M, K); NaN for a domain without it."""
    moments = [moment for moment in trace.moments if part in moment.parts]
    values = [[moment.parts[part].get(name) for name in trace.domains] for moment in moments]
    return _tokens(moments), np.array(values, dtype=np.float64).reshape(len(moments), len(trace.domains))


def _tokens(moments: list[Moment]) -> Floats:
    return np.array([moment.tokens for moment in moments], dtype=np.float64)


def with_laws(trace: PolicyTrace) -> list[Moment]:
    """The moments that have a law of any domain."""
    return [m for m in trace.moments if any(v is not None for v in m.laws.get("alpha", {}).values())]


def forecasts(trace: PolicyTrace, most: int = 60) -> list[Forecast]:
    """What the laws said at the moments nearest to 1/6, 1/2 and 5/6 of the run; no moment twice."""
    moments, per_step = with_laws(trace), tokens_per_step(trace)
    if not moments or per_step is None:
        return []
    total = len(trace.steps) * per_step
    nearest = [min(moments, key=lambda m, at=fraction: abs(m.tokens - at * total)) for fraction in FRACTIONS]
    found = []
    for moment in dict.fromkeys(map(moments.index, nearest)):
        chosen = moments[moment]
        tokens = np.linspace(float(chosen.tokens), total, most, dtype=np.float64)
        found.append(Forecast(chosen.tokens / total, tokens, _said(trace, chosen, tokens)))
    return found


def _said(trace: PolicyTrace, moment: Moment, tokens: Floats) -> Floats:
    """(X, K) the losses that a moment's laws forecast."""
    settings = AdoSettings.from_dict(trace.settings)
    values = {name: [by.get(domain) for domain in trace.domains] for name, by in moment.laws.items()}
    return laws_from_dict(values, settings.rate_schedule).loss(tokens / settings.tokens_per_sample)


def measured_course(points: LossPoints, most: int) -> tuple[Floats, Floats]:
    """Means (X, K) over runs of neighbouring points, weighted by tokens, and the tokens (X,) in their middle."""
    count = len(points.tokens)
    edges = np.linspace(0, count, min(count, most) + 1).round().astype(np.intp)[:-1]
    weights = np.add.reduceat(points.weights, edges, axis=0)
    sums = np.add.reduceat(np.where(points.weights > 0, points.losses * points.weights, 0.0), edges, axis=0)
    sizes = np.diff(np.append(edges, count))
    tokens: Floats = np.add.reduceat(points.tokens, edges) / sizes
    return tokens, np.where(weights > 0, sums / np.where(weights > 0, weights, 1.0), np.nan)


def final_errors(trace: PolicyTrace) -> tuple[Floats, Floats]:
    """Tokens (M,) of the fits, and forecast over measured final training loss, minus 1 (M, K).

    The final loss is the mean of the last twentieth of the run, and the forecast that of its last step.
    """
    moments, per_step = with_laws(trace), tokens_per_step(trace)
    shape = (len(moments), len(trace.domains))
    said = np.array([[m.forecasts.get(d) for d in trace.domains] for m in moments], dtype=np.float64).reshape(shape)
    if trace.points is None or per_step is None:
        return np.empty(0), np.empty((0, shape[1]))
    points = trace.points
    final = last_losses(points.tokens, points.losses, points.weights, len(trace.steps) * per_step)
    return _tokens(moments), said / final - 1


def trace_errors(trace: PolicyTrace, schedule: RateSchedule) -> list[ForecastError]:
    """Forecast errors of both laws on the losses of a run; none for a policy that keeps no losses.

    Args:
        trace: of the run.
        schedule: of its learning rate, in tokens.
    """
    points = trace.points
    if points is None or not len(points.tokens):
        return []
    return forecast_errors(points.tokens, points.losses, points.weights, schedule)


def leading(trace: PolicyTrace, most: int) -> list[int]:
    """The domains of the largest mean share, in the order of the data's: those that are told apart by colour."""
    order = np.argsort(-trace.weights.mean(axis=0), kind="stable")
    return sorted(order[:most].tolist())
