"""Mixtures beside one another: train what is missing, then losses by domain, gains, tokens to reach."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixopt.comparison import Comparison, Entry, Metric, Reach
from mixopt.errors import ConfigError
from mixopt.search.objective import WeightedLoss, parse_objective
from mixopt.store import Store
from mixopt.study.comparable import check_comparable
from mixopt.study.contenders import Contender, default_contenders, group_runs, plan_mixtures, recorded
from mixopt.study.loop import train_missing
from mixopt.study.measured import Side, Yardstick, in_bits
from mixopt.study.paired import versus
from mixopt.study.reach import not_available, reach

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mixopt.report.progress import Watch
    from mixopt.result import RunResult
    from mixopt.search.objective import Objective
    from mixopt.spec import RunSpec
    from mixopt.study.loop import Planned
    from mixopt.study.study import Study

    Run = tuple[RunSpec, RunResult]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to compare.

    Attributes:
        contenders: mixtures and runs; none for uniform, natural and what studies of this data recommend.
        tokens: training tokens of the mixtures' runs; None for the study's.
        seeds: seeds of each mixture.
        baselines: names (or words) of contenders, the main one first; none for uniform, then natural.
        metric: compare perplexities, or bits per byte.
        train: train what is missing; else only what the table has is compared.
    """

    contenders: tuple[str, ...] = ()
    tokens: int | None = None
    seeds: int = 3
    baselines: tuple[str, ...] = ()
    metric: Metric = "perplexity"
    train: bool = True

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigError(f"--seeds: expected at least 1, found {self.seeds}")


def compare(study: Study, question: Question, watch: Watch | None = None) -> Comparison:
    """Train what is missing of a comparison, and compare.

    Args:
        study: data, model and settings of the mixtures' runs, the objective, and where the table is. Its data is
            looked at only if there is a mixture among the contenders.
        question: what to compare.
        watch: who is told how training goes.

    Raises:
        MixoptError: an unknown name, runs that cannot be compared, or something in the study that has to be mended.
    """
    words = (*question.contenders, *question.baselines)
    asked = [Contender.parse(word) for word in question.contenders]
    named = {Contender.parse(word).name for word in words}
    objective = parse_objective(study.config.method.objective)
    only_runs = bool(asked) and all(contender.is_run for contender in asked)
    notes: list[str] = []
    with Store(study.config.results, read_only=only_runs or not question.train) as store:
        asked = asked or default_contenders(study, store)
        asked = _with_baselines(asked, question.baselines, only_runs=only_runs)
        runs = group_runs([contender for contender in asked if contender.is_run], store)
        mixtures = [contender for contender in asked if not contender.is_run]
        tokens = question.tokens or (study.tokens if mixtures else 0)
        planned = plan_mixtures(study, mixtures, tokens, range(question.seeds), store)
        _check(planned, runs, question)
        if planned and question.train:
            with study.executor() as executor:
                train_missing(study, [run for some in planned.values() for run in some], store, executor, watch)
        groups = recorded(planned, store, notes, named) | runs
    _check_several(groups, "" if question.train else "; leave out --no-train to train what is missing")
    names = _baselines(question.baselines, _specs(groups))
    return compare_runs(groups, objective, names, question.metric, notes)


def _check(planned: Mapping[str, Sequence[Planned]], runs: Mapping[str, Sequence[Run]], question: Question) -> None:
    """Everything that can be wrong with a comparison before its runs are trained.

    Raises:
        ConfigError: it is.
    """
    twice = [name for name in runs if name in planned]
    if twice:
        raise ConfigError(f"a mixture and runs are both called {twice[0]!r}; name the runs: NAME=RUN")
    specs = {name: [run.spec for run in some] for name, some in planned.items()} | _specs(runs)
    _check_several(specs)
    main = _baselines(question.baselines, specs)[0]
    check_comparable({name: some[0] for name, some in specs.items()}, main, question.metric)


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
    """The groups that others are held against, by name or by the start of a run's id.

    Raises:
        ConfigError: there is no such group.
    """
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
) -> Comparison:
    """Hold groups of runs against one another.

    Args:
        groups: runs by name of their mixture; those of one group differ in their seed only.
        objective: what gains and tokens to reach are told in.
        baselines: names of groups, the main one first.
        metric: compare perplexities (nats/token), or bits per byte, which do not depend on the tokenizer.
        notes: warnings that are known already.

    Raises:
        ConfigError: there is one group only, a group has no finished run, or they cannot be compared.
    """
    _check_several(groups)
    warnings = list(notes)
    finished = {name: _finished(name, runs, warnings) for name, runs in groups.items()}
    specs = {name: runs[0][0] for name, runs in finished.items()}
    main = baselines[0]
    warnings += check_comparable(specs, main, metric)
    if metric == "bits-per-byte":
        objective = in_bits(objective)
    yardstick = Yardstick(objective, metric, specs[main].measured, specs[main].data.domains)
    sides = {name: Side.of(name, runs, yardstick) for name, runs in finished.items()}
    warnings += _seed_warnings(sides, main)
    entries = {
        name: replace(
            side.entry,
            versus={other: versus(side.scores, sides[other].scores) for other in baselines if other != name},
            tokens_to_reach={other: _reach(side, sides[other]) for other in baselines if other != name},
        )
        for name, side in sides.items()
    }
    return Comparison(
        id=_identity(entries, baselines, objective, metric),
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
        + (
            "pairs are of those that both have"
            if set(side.entry.seeds) & set(reference)
            else "no pairs, only means"
        )
        for name, side in sides.items()
        if side.entry.seeds != reference
    ]


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _reach(own: Side, baseline: Side) -> Reach:
    """Tokens that `own` needs to be where `baseline` ends."""
    curve, evaluation = own.entry.curve, own.spec.evaluation
    measured_on = baseline.spec.evaluation.tokens_per_domain
    if own.spec.data.fingerprint != baseline.spec.data.fingerprint:
        return not_available("the data differ, so that a token is not the same amount of text")
    if curve is None:
        return not_available("the runs kept no curves, or not at the same tokens")
    if not curve.comparable or evaluation.tokens_per_domain != measured_on:
        return not_available(
            f"its curve is measured on {evaluation.point_tokens_per_domain} validation tokens a domain, the "
            f"baseline's end on {measured_on}; train both with evaluation.point_tokens_per_domain = "
            "evaluation.tokens_per_domain"
        )
    ends = baseline.scores.objective
    pairs = [row for row, seed in enumerate(own.entry.seeds) if seed in ends]
    rows = pairs or list(range(len(own.entry.seeds)))
    targets = [ends[own.entry.seeds[row]] if pairs else baseline.entry.objective.value for row in rows]
    return reach(
        curve.tokens,
        np.array(curve.values)[rows],
        np.array(targets),
        baseline.entry.tokens,
        paired=bool(pairs),
    )


def _identity(entries: Mapping[str, Entry], baselines: Sequence[str], objective: Objective, metric: Metric) -> str:
    weights = objective.weights.to_dict() if isinstance(objective, WeightedLoss) else None
    content = [
        {name: entry.runs for name, entry in entries.items()},
        list(baselines),
        objective.name,
        weights,
        metric,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
