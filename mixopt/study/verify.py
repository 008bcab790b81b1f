"""Train what was recommended beside the baselines, and hold the measurement against the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from mixopt.comparison import Measured
from mixopt.errors import ConfigError
from mixopt.methods.base import Estimate, Proposal, Recommendation
from mixopt.role import Role
from mixopt.study.compare.pairs import relative_gain
from mixopt.study.loop import plan_runs, train_missing
from mixopt.study.tasks import needed_tasks

if TYPE_CHECKING:
    from mixopt.execute.base import Executor, Watch
    from mixopt.mixture import Mixture
    from mixopt.objective import Objective
    from mixopt.store import Store
    from mixopt.study.study import Study


@dataclass(frozen=True)
class Compared:
    """Prediction and measurement of one mixture."""

    weights: dict[str, float]  # the mixture
    predicted: Estimate | None  # the objective, as the method predicted it; None if it made no prediction
    measured: Measured  # the objective
    # predicted relative improvement of the recommended mixture over this one; None for itself
    gain_predicted: Estimate | None
    # the same, measured seed by seed (the seeds share initialisation and data order)
    gain_measured: Measured | None
    losses: dict[str, float]  # mean validation loss over seeds by domain, nats/token


@dataclass(frozen=True)
class Verification:
    """What a verification found."""

    objective: str  # name of the objective
    tokens: int  # training tokens of every run
    mixtures: dict[str, Compared]  # the recommended mixture first, then the baselines, by name
    runs: tuple[str, ...]  # ids of the runs that this rests on

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> Verification:
        """The inverse of `to_dict` and `json.dumps`.

        Raises:
            ValueError: the text is no such JSON.
        """
        return TypeAdapter(cls).validate_json(text)


def verify(
    study: Study,
    recommendation: Recommendation,
    objective: Objective,
    baselines: Mapping[str, Mixture],
    store: Store,
    executor: Executor,
    watch: Watch | None = None,
) -> Verification:
    """Train the recommended mixture and the baselines for the study's tokens with the same seeds, and compare.

    The seeds are other ones than the search's: what those favour, a search takes for the merit of a mixture.
    Baselines that are the same are trained once.

    Raises:
        ConfigError: a run failed, so that a mixture has no measurement; or it repeats its data too often.
    """
    mixtures, method = {"recommended": recommendation.mixture, **baselines}, study.config.method
    first = len(method.search_seeds)
    proposals = [
        Proposal(mixture, study.tokens, seed, Role("verify", name))
        for name, mixture in mixtures.items()
        for seed in range(first, first + method.verify_seeds)
    ]
    planned = plan_runs(study, proposals)
    train_missing(study, planned, store, executor, watch)
    ids = {name: [run.spec.run_id for run in planned if run.role == Role("verify", name)] for name in mixtures}
    every = [run for some in ids.values() for run in some]
    history = store.history(every, tasks=needed_tasks(study, objective))
    row_of = {run: row for row, run in enumerate(history.runs)}
    values = objective.value(history.losses, history.eval_domains, history.domains)
    rows: dict[str, list[int]] = {}
    for name, some in ids.items():
        lost = [run for run in some if run not in row_of]
        if lost:
            raise ConfigError(f"verify {name}: run {lost[0]} did not finish; `mixopt runs show {lost[0]}` says why")
        rows[name] = [row_of[run] for run in some]
    by_seed = {name: dict(enumerate(values[some].tolist())) for name, some in rows.items()}
    losses = {name: history.losses[some].mean(axis=0).tolist() for name, some in rows.items()}
    gains = {name: relative_gain(by_seed["recommended"], by_seed[name])[0] for name in baselines}
    compared = {
        name: Compared(
            weights=mixture.to_dict(),
            predicted=recommendation.predicted.get(name),
            measured=Measured.of(list(by_seed[name].values())),
            gain_predicted=recommendation.gains.get(name),
            gain_measured=gains.get(name),
            losses=dict(zip(history.eval_domains, losses[name], strict=True)),
        )
        for name, mixture in mixtures.items()
    }
    return Verification(objective.name, study.tokens, compared, tuple(row_of))
