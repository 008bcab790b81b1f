"""The benchmark of search methods: every method with the same seeds on one table, and what came of it.

Symbols: S seeds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.bench.outcome import Bench, Outcome
from mixopt.bench.pool import Job, run_jobs
from mixopt.bench.registry import USUAL, Asked
from mixopt.bench.replay import CHECKS, COSTS, Replay
from mixopt.bench.score import Truth, random_reach, random_regret
from mixopt.errors import ConfigError
from mixopt.history import empty_history
from mixopt.methods.base import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixopt.arrays import Floats
    from mixopt.bench.base import Table

RANDOM, SINGLE = "random", "single-fidelity"
_RESAMPLES = 2000


def bench(
    table: Table,
    objective: tuple[str, Floats],
    methods: Sequence[str] | None,
    *,
    seeds: int,
    top: int,
    budget: float | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> Bench:
    """Replay methods against a table.

    Args:
        table: the runs.
        objective: its name and its (V,) weights.
        methods: by name, `name:runs` or `module:Class`; None for the usual ones that the table allows.
        seeds: S, of all methods alike: 0 to S − 1.
        top: how many of the best candidates count as the top.
        budget: most to spend in each replay, in target runs; None for as much as it takes.
        settings: options by name, of those methods that have them.
        workers: processes, of one thread each.
        progress: told of the replays done, and of how many there are.

    Raises:
        ConfigError: an unknown method, one that the table does not allow, or nothing to search for.
    """
    name, weights = objective
    if budget is not None and not budget >= 1:
        raise ConfigError(f"budget: expected at least 1 (one run at the target), found {budget:g}")
    if seeds < 1:
        raise ConfigError(f"seeds: expected 1 or more, found {seeds}")
    truth = Truth.of(table, weights)
    _check_fidelities(table, weights)
    asked = [Asked.parse(text).having(settings or {}) for text in dict.fromkeys(methods or USUAL)]
    for key in settings or {}:
        if not any(key in method.settings for method in asked):
            raise ConfigError(f"--set {key}: none of {', '.join(method.text for method in asked)} has this option")
    firsts = {method.text: Job(method, table, objective, 0, top, budget) for method in asked}
    asked = [method for method in asked if _is_possible(firsts[method.text], named=methods is not None)]
    jobs = [
        Job(method, table, objective, seed, top, budget)
        for method in asked
        if method.text != RANDOM
        for seed in range(seeds)
    ]
    done = iter(run_jobs(jobs, workers, progress))
    replays = {method.text: tuple(next(done) for _ in range(seeds)) for method in asked if method.text != RANDOM}
    spent = {text: np.array([_cost(replay) for replay in own]) for text, own in replays.items()}
    exact = random_reach(len(truth.rows), len(truth.top(top)))
    outcomes = tuple(
        _outcome(method, replays[method.text], spent, exact, budget)
        if method.text in replays
        else _random(truth, exact)
        for method in asked
    )
    return Bench(table, name, top, seeds, budget, outcomes)


def _is_possible(job: Job, *, named: bool) -> bool:
    """Whether a table allows a method; one that somebody named says why not.

    Raises:
        ConfigError: it was named, and the table does not allow it.
    """
    try:
        job.searcher().ask(empty_history())
    except ConfigError as error:
        if not named:
            return False
        raise ConfigError(f"table {job.table.name}: {error}") from error
    return True


def _check_fidelities(table: Table, weights: Floats) -> None:
    for fidelity, there, losses in zip(table.fidelities, table.available, table.losses, strict=True):
        values = losses[there] @ weights
        if len(values) > 1 and np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
            raise ConfigError(
                f"table {table.name}: the objective is the same ({values[0]:.6g}) for all {len(values)} runs at "
                f"{fidelity.name}: nothing can be learned there; leave these runs out or choose another objective"
            )


def _cost(replay: Replay) -> float:
    """Cost to reach the top; all that was spent where it was not reached."""
    return (
        replay.reached if math.isfinite(replay.reached) else float(replay.spent[-1]) if replay.spent.size else 0.0
    )


def _outcome(
    method: Asked, replays: tuple[Replay, ...], spent: dict[str, Floats], exact: float, budget: float | None
) -> Outcome:
    own = spent[method.text]
    against = {RANDOM: _interval(exact / _resampled(own), exact / own.mean())}
    if SINGLE in spent and method.text != SINGLE:
        other = spent[SINGLE]
        against[SINGLE] = _interval(_resampled(other) / _resampled(own), other.mean() / own.mean())
    regrets = np.array([[replay.regret_at(cost) for cost in (*COSTS, *CHECKS)] for replay in replays])
    low, high = np.quantile(_resampled(regrets), (0.025, 0.975), axis=0)
    mean = regrets.mean(axis=0)
    split = len(COSTS)
    predicted = [r.rank_correlation for r in replays if math.isfinite(r.rank_correlation)]
    return Outcome(
        name=method.text,
        title=method.method.summary,
        reach=_interval(_resampled(own), own.mean()),
        missed=sum(not math.isfinite(replay.reached) for replay in replays),
        regret={
            cost: Estimate(float(mean[i]), float(low[i]), float(high[i]))
            for i, cost in enumerate(COSTS)
            if math.isfinite(mean[i]) and (budget is None or cost <= budget)
        },
        against=against,
        rank_correlation=float(np.median(predicted)) if predicted else None,
        curve=np.stack([CHECKS, mean[split:], low[split:], high[split:]]),
        replays=replays,
    )


def _random(truth: Truth, exact: float) -> Outcome:
    """Random search, in closed form."""
    costs = np.arange(1, int(COSTS[-1]) + 1)
    regret = np.array([random_regret(truth.values, int(cost)) for cost in costs])
    return Outcome(
        name=RANDOM,
        title="random search",
        reach=Estimate(exact),
        missed=0,
        regret={cost: Estimate(float(regret[int(cost) - 1])) for cost in COSTS},
        against={},
        rank_correlation=None,
        curve=np.stack([costs.astype(np.float64), regret, regret, regret]),
        replays=(),
    )


def _resampled(values: Floats) -> Floats:
    """Means over resampled seeds: (B,) of (S,), (B, n) of (S, n); the same resamples for each method, so paired."""
    rows = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    return values[rows].mean(axis=1)


def _interval(resampled: Floats, value: float) -> Estimate:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(float(value), float(low), float(high))
