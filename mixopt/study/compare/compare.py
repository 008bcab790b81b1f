"""Mixtures beside one another: train what is missing, then losses by domain, gains, tokens to reach."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixopt.comparison import Comparison, Entry, Metric, Versus
from mixopt.errors import ConfigError
from mixopt.objective import Objective, WeightedLoss, parse_objective, tasks_of
from mixopt.store import Store
from mixopt.store.task_errors import by_label
from mixopt.study.compare.contenders import Contender, default_contenders, group_runs, plan_mixtures, recorded
from mixopt.study.compare.measure import Side, Yardstick, in_bits
from mixopt.study.compare.pairs import check_comparable, reached, versus
from mixopt.study.compare.tasks import SharedTasks, evaluate_runs, tally
from mixopt.study.loop import train_missing

if TYPE_CHECKING:
    from mixopt.evaluation import EvalTask
    from mixopt.execute.base import Job, Watch
    from mixopt.result import Run
    from mixopt.score import Score
    from mixopt.spec import RunSpec
    from mixopt.study.study import Study


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to compare."""

    # mixtures and runs; none for uniform, natural and what studies of this data recommend
    contenders: tuple[str, ...] = ()
    tokens: int | None = None  # training tokens of the mixtures' runs; None for the study's
    seeds: int = 3  # seeds of each mixture
    # names (or words) of contenders, the main one first; none for uniform, then natural
    baselines: tuple[str, ...] = ()
    metric: Metric = "perplexity"  # compare perplexities, or bits per byte
    train: bool = True  # train what is missing; else only what the table has is compared

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"--seeds: expected at least 1, found {self.seeds}")


def compare(study: Study, question: Question, watch: Watch | None = None) -> Comparison:
    """Train what is missing of a comparison, and compare.

    The study gives data, model and settings of the mixtures' runs, the objective and the table. Its data is looked
    at only if there is a mixture among the contenders.

    Raises:
        MixoptError: an unknown name, runs that cannot be compared, or something in the study that has to be mended.
    """
    words = (*question.contenders, *question.baselines)
    asked = [Contender.parse(word) for word in question.contenders]
    named = {Contender.parse(word).name for word in words}
    objective = parse_objective(study.config.method.objective)
    only_runs = bool(asked) and all(contender.is_run for contender in asked)
    notes: list[str] = []
    measure = question.train and bool(study.config.evaluation.tasks)
    with Store(study.config.results, read_only=not question.train or (only_runs and not measure)) as store:
        asked = asked or default_contenders(study, store)
        asked = _with_baselines(asked, question.baselines, only_runs=only_runs)
        runs = group_runs([contender for contender in asked if contender.is_run], store)
        mixtures = [contender for contender in asked if not contender.is_run]
        tokens = question.tokens or (study.tokens if mixtures else 0)
        planned = plan_mixtures(study, mixtures, tokens, range(question.seeds), store)
        specs = _check(planned, runs, question)
        tasks = study.tasks if planned else study.tasks_of(specs[0].objective)
        if measure:
            evaluate_runs(study, runs, tasks, store, watch)
        if planned and question.train:
            with study.executor() as executor:
                train_missing(study, [run for some in planned.values() for run in some], store, executor, watch)
        groups = recorded(planned, store, notes, named) | runs
        scores = store.scores.of(result.run_id for some in groups.values() for _, result in some)
    _check_several(groups, "" if question.train else "; leave out --no-train to train what is missing")
    names = _baselines(question.baselines, _specs(groups))
    return compare_runs(groups, objective, names, question.metric, notes, scores, tasks)


def _check(
    planned: Mapping[str, Sequence[Job]], runs: Mapping[str, Sequence[Run]], question: Question
) -> list[RunSpec]:
    """Everything that can be wrong with a comparison before its runs are trained; a spec of each group."""
    twice = [name for name in runs if name in planned]
    if twice:
        raise ConfigError(f"a mixture and runs are both called {twice[0]!r}; name the runs: NAME=RUN")
    specs = {name: [run.spec for run in some] for name, some in planned.items()} | _specs(runs)
    _check_several(specs)
    main = _baselines(question.baselines, specs)[0]
    check_comparable({name: some[0] for name, some in specs.items()}, main, question.metric)
    return [some[0] for some in specs.values()]


def _check_several(names: Collection[str], hint: str = "") -> None:
    if len(names) < 2:
        raise ConfigError(f"expected two mixtures or more to compare, found {', '.join(names) or 'none'}{hint}")


def _specs(groups: Mapping[str, Sequence[Run]]) -> dict[str, list[RunSpec]]:
    return {name: [spec for spec, _ in runs] for name, runs in groups.items()}


def _with_baselines(asked: list[Contender], baselines: Sequence[str], *, only_runs: bool) -> list[Contender]:
    """The contenders, and before them those baselines that are not among them."""
    wanted = [Contender.parse(word) for word in baselines]
    if not baselines and not only_runs:
        wanted = [Contender("uniform")]
    known = {word for contender in asked for word in (contender.name, contender.text)}
    # Among runs alone a baseline is the name of one of their groups, which need no data.
    new = [one for one in wanted if one.text not in known and (one.is_run or not only_runs)]
    return [*new, *asked]


def _baselines(words: Sequence[str], groups: Mapping[str, Sequence[RunSpec]]) -> list[str]:
    """The groups that others are held against, by name or by the start of a run's id."""
    if not words:
        return [name for name in ("uniform", "natural") if name in groups] or [next(iter(groups))]
    found = []
    for contender in map(Contender.parse, words):
        start = contender.text.lower() if contender.is_run else None
        by_run = [
            name for name, specs in groups.items() if start and any(spec.run_id.startswith(start) for spec in specs)
        ]
        chosen = contender.name if contender.name in groups else next(iter(by_run), None)
        if chosen is None:
            raise ConfigError(f"--baseline: expected one of {', '.join(groups)}, found {contender.text!r}")
        found.append(chosen)
    return list(dict.fromkeys(found))


def compare_runs(
    groups: Mapping[str, Sequence[Run]],
    objective: Objective,
    baselines: Sequence[str],
    metric: Metric = "perplexity",
    notes: Sequence[str] = (),
    scores: Mapping[str, Sequence[Score]] | None = None,
    asked: Sequence[EvalTask] = (),
) -> Comparison:
    """Hold groups of runs against one another.

    Args:
        groups: runs by name of their mixture; those of one group differ in their seed only.
        objective: what gains and tokens to reach are told in.
        metric: compare perplexities (nats/token), or bits per byte, which do not depend on the tokenizer.
        asked: the tasks that are wanted; none for all that every run has a score of.

    Raises:
        ConfigError: there is one group only, a group has no finished run, they cannot be compared, or the objective
            reads a task that not every run has a score of.
    """
    _check_several(groups)
    warnings = list(notes)
    finished = {name: _finished(name, runs, warnings) for name, runs in groups.items()}
    specs = {name: runs[0][0] for name, runs in finished.items()}
    main = baselines[0]
    warnings += check_comparable(specs, main, metric)
    if metric == "bits-per-byte":
        objective = in_bits(objective)
    ids = [result.run_id for runs in finished.values() for _, result in runs]
    tasks = SharedTasks.of(ids, scores or {}, asked)
    lost = [label for label in by_label(asked) if label not in tasks.identities]
    warnings += [f"task {label!r} is left out: not every run has a score of it" for label in lost]
    yardstick = Yardstick(objective, metric, specs[main].measured, specs[main].data.domains, tasks)
    at_end = bool(tasks_of(objective, tasks.domains))
    sides = {name: Side.of(name, runs, yardstick) for name, runs in finished.items()}
    warnings += _seed_warnings(sides, main)
    entries = {
        name: replace(
            side.entry,
            versus={other: _versus(side, sides[other]) for other in baselines if other != name},
            tokens_to_reach={other: reached(side, sides[other], at_end) for other in baselines if other != name},
        )
        for name, side in sides.items()
    }
    return Comparison(
        id=_identity(entries, baselines, objective, metric, tasks),
        objective=objective.name,
        units=objective.units,
        metric=metric,
        tokens=specs[main].tokens,
        baselines=tuple(baselines),
        averaged=yardstick.averaged,
        entries=entries,
        warnings=tuple(warnings),
        predicts=specs[main].objective,
    )


def _finished(name: str, runs: Sequence[Run], warnings: list[str]) -> list[Run]:
    """The finished runs by seed; the others are named."""
    lost = [(spec, result) for spec, result in runs if result.status != "finished"]
    told = [f"run {result.run_id} (seed {spec.seed}) {result.status}: {result.error}" for spec, result in lost]
    if len(lost) == len(runs):
        raise ConfigError(
            f"{name!r}: none of its {len(runs)} runs finished ({told[0] if told else 'there are none'}); train "
            "them, or leave the mixture out"
        )
    warnings += [f"{name!r} is without a seed: {text}" for text in told]
    return sorted((run for run in runs if run[1].status == "finished"), key=lambda run: run[0].seed)


def _seed_warnings(sides: Mapping[str, Side], main: str) -> list[str]:
    reference = sides[main].entry.seeds
    return [
        f"{name!r} has the seeds {_list(side.entry.seeds)} and {main!r} {_list(reference)}: "
        + ("pairs are of those that both have" if set(side.entry.seeds) & set(reference) else "no pairs, only means")
        for name, side in sides.items()
        if side.entry.seeds != reference
    ]


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _versus(own: Side, baseline: Side) -> Versus:
    wins, losses = tally(own.entry, baseline.entry)
    return replace(versus(own.scores, baseline.scores), task_wins=wins, task_losses=losses)


def _identity(
    entries: Mapping[str, Entry], baselines: Sequence[str], objective: Objective, metric: Metric, tasks: SharedTasks
) -> str:
    weights = objective.weights.to_dict() if isinstance(objective, WeightedLoss) else None
    content = [
        {name: entry.runs for name, entry in entries.items()},
        list(baselines),
        objective.name,
        weights,
        metric,
        *([tasks.identities] if tasks.identities else []),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
