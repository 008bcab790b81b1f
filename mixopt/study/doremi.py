"""DoReMi on a study: rounds of a reference run and a proxy held against it, as runs of the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError, ExecutorError
from mixopt.methods.base import Role
from mixopt.methods.doremi.rounds import DoremiSettings, ProxyPath, Round, recommend
from mixopt.mixture import Mixture
from mixopt.policy.doremi import check_settings
from mixopt.spec import PolicySpec
from mixopt.store import Store
from mixopt.study.loop import job_of, train_missing
from mixopt.study.mixtures import resolve_mixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt.execute.base import Executor, Job, Watch
    from mixopt.methods.base import Recommendation
    from mixopt.spec import RunSpec
    from mixopt.study.study import Study

# The authors advise one round from the corpus' own shares, and two or three from uniform ones.
_MOST_ROUNDS = 3


@dataclass(frozen=True)
class RoundRuns:
    """The runs of a round.

    Attributes:
        reference: the mixture of the reference runs.
        references: the reference run of each seed.
        proxies: the proxy of each seed, which names its reference run.
    """

    reference: Mixture
    references: tuple[Job, ...]
    proxies: tuple[Job, ...]


class DoremiStudy:
    """What DoReMi asks of a study, checked before anything is trained.

    Args:
        study: its `method` section says how.

    Attributes:
        settings: of every round.
        baselines: mixtures to show beside the answer, by name.

    Raises:
        ConfigError: a setting out of its range, a domain without weight in reference or sampling, one domain only.
    """

    def __init__(self, study: Study) -> None:
        self._study, method = study, study.config.method
        check_settings(method.eta, method.smoothing)
        if len(study.domains) == 1:
            raise ConfigError(
                f"doremi: expected two domains or more to weigh, found {study.domains[0]!r} alone: nothing to do"
            )
        sampling = resolve_mixture(method.sampling, study)
        for name, mixture in (("reference", study.reference), ("sampling", sampling)):
            missing = [domain for domain, weight in mixture.to_dict().items() if not weight]
            if missing:
                raise ConfigError(
                    f"method.{name}: DoReMi expects a weight above 0 for every domain, found 0 for {missing[0]!r}: "
                    "without any of its text nothing can be said about its excess loss"
                )
        natural = study.reference.distance(study.natural) < 1e-9  # a file may hold it too
        available = study.available
        self.settings = DoremiSettings(
            eta=method.eta,
            smoothing=method.smoothing,
            sampling=sampling,
            tokens=study.tokens,
            batch_sequences=study.optim.batch_tokens // study.sequence_length,
            epochs={domain: study.tokens / tokens for domain, tokens in available.items()},
            max_epochs=study.config.training.max_epochs,
            rounds=method.rounds or (1 if natural else _MOST_ROUNDS),
        )
        self.baselines = {
            "reference": study.reference,
            "uniform": Mixture.uniform(study.domains),
            "natural": study.natural,
        }
        self.round(1, study.reference)  # mistakes in its runs are found now

    def round(self, number: int, reference: Mixture) -> RoundRuns:
        """The runs of a round.

        Args:
            number: counted from 1.
            reference: the mixture of its reference runs.

        Raises:
            ConfigError: a run repeats a domain more often than `training.max_epochs` allows.
        """
        study, references, proxies = self._study, [], []
        for seed in study.seeds:
            first = study.spec(reference, study.tokens, seed)
            second = self._proxy(first, seed)
            roles = tuple(Role(kind, str(number), f"round {number} {kind}") for kind in ("reference", "proxy"))
            for spec, role in zip((first, second), roles, strict=True):
                study.check_epochs(spec, role)
            references.append(job_of(study, first, roles[0], keep=True))
            proxies.append(job_of(study, second, roles[1]))
        return RoundRuns(reference, tuple(references), tuple(proxies))

    def _proxy(self, reference: RunSpec, seed: int) -> RunSpec:
        """The Group DRO run against a reference run."""
        settings = self.settings
        policy = PolicySpec(
            name="group_dro",
            weights=settings.sampling.weights,
            options={"eta": settings.eta, "smoothing": settings.smoothing},
            reference=reference.run_id,
        )
        return replace(self._study.spec(settings.sampling, settings.tokens, seed), policy=policy)

    def known(self, store: Store | None) -> Iterator[RoundRuns]:
        """The rounds whose runs are known: the first, and each that follows from proxies in the table."""
        reference = self._study.reference
        for number in range(1, self.settings.rounds + 1):
            runs = self.round(number, reference)
            yield runs
            if store is None or not all(store.has_finished(run.run_id) for run in runs.proxies):
                return
            done = measured(runs, store)
            if done.converged:
                return
            reference = done.answer

    def recommend(self, rounds: list[Round]) -> Recommendation:
        """The answer of the rounds done."""
        return recommend(rounds, self.settings, self.baselines)


def measured(runs: RoundRuns, store: Store) -> Round:
    """What a round's runs in the table measured.

    Raises:
        ExecutorError: a proxy has no trace of its weights, as its curve file is gone.
    """
    paths = []
    for run in runs.proxies:
        run_id = run.spec.run_id
        trace = store.get(run_id)[1].trace
        if trace is None or not trace.moments:
            raise ExecutorError(
                f"run {run_id} ({run.role}) has lost the trace of its weights; `mixopt runs rm {run_id} --results "
                f"{store.folder}` and the same command train it again"
            )
        paths.append(ProxyPath.of(run_id, trace))
    return Round(runs.reference, tuple(run.spec.run_id for run in runs.references), tuple(paths))


def run_doremi(
    study: Study, doremi: DoremiStudy, store: Store, executor: Executor, watch: Watch | None = None
) -> Recommendation:
    """Do DoReMi's rounds until they converge or are used up, and give the last one's answer.

    Runs that the table has are not trained again, so that a study that was interrupted goes on where it stood.

    Args:
        study: what to train, on what.
        doremi: what DoReMi asks of it.
        store: the results table.
        executor: where to train.
        watch: who is told how it goes.

    Raises:
        ConfigError: a run repeats its data too often.
        ExecutorError: a run did not come through; without it there is no answer.
        StoreError: the table cannot be written.
    """
    store.check_writable()
    rounds: list[Round] = []
    reference = study.reference
    for number in range(1, doremi.settings.rounds + 1):
        runs = doremi.round(number, reference)
        # A proxy needs its reference's model: one after the other.
        for some in (runs.references, runs.proxies):
            train_missing(study, some, store, executor, watch)
            _check_finished(some, store)
        rounds.append(measured(runs, store))
        if rounds[-1].converged:
            break
        reference = rounds[-1].answer
    return doremi.recommend(rounds)


def _check_finished(runs: tuple[Job, ...], store: Store) -> None:
    """A method of few runs cannot go on without one of them."""
    for run in runs:
        if not store.has_finished(run.run_id):
            run_id = run.spec.run_id
            raise ExecutorError(
                f"{run.role}, seed {run.spec.seed}, did not finish; `mixopt runs show {run_id} --results "
                f"{store.folder}` says why; mend the cause and run the same command again"
            )


def doremi(study: Study, watch: Watch | None = None) -> Recommendation:
    """DoReMi's mixture at the study's scale: a reference run, and a proxy that upweighs what it is behind on.

    Runs that the results table has are used again; the others are trained and recorded.

    Args:
        study: what to train, on what data, where.
        watch: who is told how it goes.

    Raises:
        MixoptError: something in the study, the data, the table or the executor has to be mended.
    """
    asked = DoremiStudy(study)
    with Store(study.config.results) as store, study.executor() as executor:
        return run_doremi(study, asked, store, executor, watch)
