"""The benchmark of search methods: every method with the same seeds on one table, and what came of it.

Symbols: S seeds.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.bench.registry import USUAL, Asked
from mixopt.bench.replay import CHECKS, COSTS, Replay, replay
from mixopt.bench.score import Truth, random_reach, random_regret
from mixopt.errors import ConfigError, ExecutorError
from mixopt.history import empty_history
from mixopt.methods.base import Estimate

if TYPE_CHECKING:
    from mixopt.bench.base import Table
    from mixopt.methods.base import Searcher


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, eq=False)
class Job:
    """One method with one seed: the arguments of `replay`."""

    method: Asked
    table: Table
    objective: tuple[str, Floats]
    seed: int
    top: int
    budget: float | None

    def searcher(self) -> Searcher:
        """A new one, of the evaluation domains that count."""
        name, weights = self.objective
        used = weights > 0
        return self.method.searcher(self.table.only(used), (name, weights[used]), self.seed, self.budget)

    def run(self, least: float = COSTS[-1]) -> Replay:
        """Make the searcher and replay it; see `replay` for `least`."""
        truth, used = Truth.of(self.table, self.objective[1]), self.objective[1] > 0
        return replay(
            self.searcher(), self.table.only(used), truth, seed=self.seed, top=self.top, budget=self.budget, least=least
        )


def run_jobs(jobs: Sequence[Job], workers: int, progress: Callable[[int, int], None]) -> list[Replay]:
    """Results in the order of `jobs`.

    Args:
        workers: processes; 1 for this one.
        progress: told of the jobs done, and of how many there are.

    Raises:
        ExecutorError: a process was killed.
    """
    if workers <= 1 or len(jobs) <= 1:
        found = []
        for job in jobs:
            found.append(job.run())
            progress(len(found), len(jobs))
        return found
    results: dict[int, Replay] = {}
    with _one_thread(), ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as processes:
        futures = {processes.submit(Job.run, job): i for i, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                progress(len(results), len(jobs))
        except BrokenProcessPool as error:
            raise ExecutorError(
                "a process of the replays was killed (is there enough memory?); use fewer --workers"
            ) from error
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[i] for i in range(len(jobs))]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Environment that processes started inside inherit: numeric libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one method did."""

    name: str  # as it was asked for
    title: str  # in words
    # mean cost until a mixture of the true top was measured, in target runs, with its 95 % bootstrap interval over
    # seeds; without one where it is known exactly
    reach: Estimate
    missed: int  # seeds that never got there; they count with all that they spent, so `reach` is too low then
    regret: dict[float, Estimate]  # mean regret of the recommendation at each of `COSTS`, in the objective's units
    against: dict[str, Estimate]  # by another method, its cost to reach the top over this one's: 6 is six times ahead
    # median over seeds of Spearman's between prediction and truth; None without a prediction
    rank_correlation: float | None
    curve: Floats  # (4, n) costs, mean regret, and the ends of its interval; NaN before every seed has a recommendation
    replays: tuple[Replay, ...]  # one a seed; none for what is known exactly


@dataclass(frozen=True, eq=False)
class Bench:
    """All methods on one table."""

    table: Table  # that was replayed
    objective: str  # as it was asked for
    top: int  # how many of the best candidates count as the top
    seeds: int  # S
    budget: float | None  # most that each replay could spend; None for as much as it took
    outcomes: tuple[Outcome, ...]  # one a method, in the order asked for

    def to_dict(self) -> dict[str, Any]:
        """JSON values: settings, every method's figures, every purchase and recommendation of every replay."""
        table = self.table
        return {
            "table": table.name,
            "source": table.source,
            "notes": list(table.notes),
            "fidelities": [
                {
                    "name": fidelity.name,
                    "parameters": fidelity.parameters,
                    "tokens": fidelity.tokens,
                    "cost": fidelity.cost,
                    "runs": int(there.sum()),
                }
                for fidelity, there in zip(table.fidelities, table.available, strict=True)
            ],
            "objective": self.objective,
            "top": self.top,
            "seeds": self.seeds,
            "budget": self.budget,
            "methods": {outcome.name: _outcome_dict(outcome) for outcome in self.outcomes},
        }


def _outcome_dict(outcome: Outcome) -> dict[str, Any]:
    def estimate(found: Estimate) -> dict[str, float | None]:
        return {"value": found.value, "low": found.low, "high": found.high}

    return {
        "title": outcome.title,
        "cost_to_reach": estimate(outcome.reach),
        "seeds_that_missed": outcome.missed,
        "regret": {f"{cost:g}": estimate(found) for cost, found in outcome.regret.items()},
        "times_ahead_of": {name: estimate(found) for name, found in outcome.against.items()},
        "rank_correlation": outcome.rank_correlation,
        "replays": [
            {
                "seed": replay.seed,
                "reached": replay.reached if math.isfinite(replay.reached) else None,
                "spent": replay.spent.tolist(),
                "mixture": replay.mixture.tolist(),
                "fidelity": replay.fidelity.tolist(),
                "advised": replay.advised.tolist(),
                "recommended": replay.recommended.tolist(),
                "regret": replay.regret.tolist(),
                "refused": replay.refused,
            }
            for replay in outcome.replays
        ],
    }


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
        objective: its name and its (V,) weights.
        methods: by name, `name:runs` or `module:Class`; None for the usual ones that the table allows.
        seeds: S, of all methods alike: 0 to S − 1.
        top: how many of the best candidates count as the top.
        budget: most to spend in each replay, in target runs; None for as much as it takes.
        settings: options by name, of those methods that have them.
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
    return replay.reached if math.isfinite(replay.reached) else float(replay.spent[-1]) if replay.spent.size else 0.0


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
