"""Everything that a study's page shows, read from the results folder; nothing is computed that a method decides."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mixopt.comparison import Comparison
from mixopt.errors import ConfigError, StoreError
from mixopt.methods.base import Recommendation
from mixopt.methods.registry import method_named
from mixopt.model_spec import LOSS_UNITS
from mixopt.objective import BUILT_IN, Objective, parse_objective, weighted
from mixopt.report import online_data
from mixopt.report.online import OnlineRun
from mixopt.report.runs import Part
from mixopt.role import Role
from mixopt.store.task_errors import errors_of
from mixopt.study.verify import Verification

if TYPE_CHECKING:
    import pandas as pd

    from mixopt.methods.method import Method
    from mixopt.store import Store

T = TypeVar("T")

# A page with more curves than this helps nobody, and takes seconds to draw.
MOST_CURVES = 60
MOST_POINTS = 200
# Runs of online policies whose courses are in the page: a megabyte or two at most.
MOST_ONLINE = 8


@dataclass(frozen=True)
class Run:
    """A run and what it is for."""

    run_id: str  # its identity
    roles: tuple[Role, ...]  # what it is for in this study or in a comparison
    row: dict[str, Any]  # its scalars, as the results table has them
    parts: dict[str, Part]  # by domain, training domains first
    objective: float | None  # the study's objective; None where a loss is missing

    @property
    def losses(self) -> dict[str, float]:
        """Final validation losses of the training domains, nats/token."""
        return {name: p.loss for name, p in self.parts.items() if p.loss is not None and p.weight is not None}

    @property
    def mean_loss(self) -> float | None:
        """Mean validation loss over training domains, nats/token."""
        losses = list(self.losses.values())
        return math.fsum(losses) / len(losses) if losses else None


@dataclass(frozen=True)
class Curve:
    """Loss against tokens of one run."""

    # by split (`validation`, `train`) the tokens of its points and, by domain, the losses (nats/token, None where a
    # domain was absent)
    losses: dict[str, tuple[list[int], dict[str, list[float | None]]]]


@dataclass(frozen=True)
class Gathered:
    """A study, as its page shows it."""

    study_id: str  # its identity
    command: str  # the method, as on the command line
    method: Method | None  # the same, where it is a search method that is known here
    created: str  # ISO 8601, UTC
    config: dict[str, Any]  # the resolved study, as it was stored
    domains: tuple[str, ...]  # training domains
    objective: Objective  # what the study minimises
    runs: tuple[Run, ...]  # every run of the study and of its comparisons, oldest first
    curves: dict[str, Curve]  # of some finished runs, by run id
    recommendation: Recommendation | None  # the answer, if there is one
    verification: Verification | None  # what became of it, if it was verified
    comparisons: tuple[Comparison, ...]  # comparisons that share a run with the study
    online: tuple[OnlineRun, ...] = ()  # some of the runs whose mixture a policy chose

    @property
    def loss_units(self) -> str:
        """Of the losses of all runs."""
        masked = any(run.row["objective"] == "masked" for run in self.runs)
        return LOSS_UNITS["masked" if masked else "causal"]


def gather(store: Store, study_id: str | None = None) -> Gathered:
    """Read a study.

    Args:
        study_id: the study, or as much of its id's start as is unique; None for the latest.

    Raises:
        StoreError: there is no such study, or a file of it cannot be read.
    """
    studies = {study["study_id"]: study for study in store.studies()}
    if not studies:
        raise StoreError(f"{store.path} holds no study yet; `mixopt ddo` makes one")
    study = studies[store.find_study(study_id) if study_id else next(reversed(studies))]
    folder = store.folder / "studies" / study["study_id"]
    roles: dict[str, list[Role]] = {}
    for run_id, role in study["runs"]:
        roles.setdefault(run_id, []).append(role)
    comparisons = _comparisons(store.folder / "comparisons", frozenset(roles))
    for comparison in comparisons:
        for name, entry in comparison.entries.items():
            for run_id in entry.runs:
                roles.setdefault(run_id, []).append(Role("compare", name))
    objective, method = _objective(study["config"]), _method(study["command"])
    evidence = method and method.Evidence
    errors = errors_of(study["config"].get("tasks", {}), store.scores.of(roles))
    runs = _runs(store.frame(list(roles)), roles, objective, errors)
    return Gathered(
        study_id=study["study_id"],
        command=study["command"],
        method=method,
        created=study["created"],
        config=study["config"],
        domains=tuple(study["config"].get("domains") or _trained(runs)),
        objective=objective,
        runs=runs,
        curves={run.run_id: _curve(store.curve(run.run_id)) for run in _drawn(runs)},
        recommendation=_read(
            folder / "recommendation.json", lambda text: Recommendation.from_dict(json.loads(text), evidence)
        ),
        verification=_read(folder / "verification.json", Verification.from_json),
        comparisons=comparisons,
        online=_online(store, runs),
    )


def _method(command: str) -> Method | None:
    """None for a command that is no search, or a method of somebody's own that is not here."""
    try:
        return method_named(command)
    except ConfigError:
        return None


def _read(path: Path, parse: Callable[[str], T]) -> T | None:
    """What a file holds; None where there is none."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ConfigError) as error:
        raise _unreadable(path, error) from error


def _comparisons(folder: Path, runs: frozenset[str]) -> tuple[Comparison, ...]:
    """Those that share a run with the study."""
    found = [_read(path, Comparison.from_json) for path in sorted(folder.glob("*/comparison.json"))]
    return tuple(one for one in found if one and any(runs.intersection(entry.runs) for entry in one.entries.values()))


def _online(store: Store, runs: Sequence[Run]) -> tuple[OnlineRun, ...]:
    """The runs that have a trace, each role's first seed before second ones, as many as a page shows."""
    ranked: list[tuple[int, Run]] = []
    seen: dict[Role, int] = {}
    for run in runs:
        if store.trace_path(run.run_id).exists():
            ranked.append((seen.get(run.roles[0], 0), run))
            seen[run.roles[0]] = seen.get(run.roles[0], 0) + 1
    found = []
    for _, run in sorted(ranked, key=lambda one: one[0])[:MOST_ONLINE]:
        trace = store.trace(run.run_id)
        if trace is not None and len(trace.steps):
            spec, _ = store.get(run.run_id)
            label = f"{run.roles[0]}, seed {spec.seed}"
            taken = any(other.label == label for other in found)
            label = f"{label} ({run.run_id[:8]})" if taken else label
            found.append(OnlineRun(label, run.run_id, trace, online_data.schedule_of(spec)))
    return tuple(found)


def _unreadable(path: Path, error: Exception) -> StoreError:
    reason = " ".join(str(error).split())[:200]
    return StoreError(f"{path}: cannot be read ({reason}); the command that made it writes it again")


def _objective(config: dict[str, Any]) -> Objective:
    """From the stored study: a file of weights may have changed or gone since."""
    name = str(config.get("config", {}).get("method", {}).get("objective", BUILT_IN[0].name))
    if "objective" in config:
        from mixopt.mixture import Mixture

        return weighted(Mixture.from_dict(config["objective"]), name)
    try:
        return parse_objective(name)
    except ConfigError:  # of a version that knew others
        return BUILT_IN[0]


def _runs(
    frame: pd.DataFrame, roles: dict[str, list[Role]], objective: Objective, errors: dict[str, dict[str, float]]
) -> tuple[Run, ...]:
    names = [column.removeprefix("loss.") for column in frame.columns if column.startswith("loss.")]
    runs = []
    for record in frame.to_dict("records"):
        row = {str(key): value for key, value in record.items()}
        parts = {
            name: Part(*(_number(row[f"{_column(short, row)}.{name}"]) for short in _SHORT))
            for name in names
            if not math.isnan(row[f"w.{name}"]) or not math.isnan(row[f"{_column('loss', row)}.{name}"])
        }
        scalars = {key: value for key, value in row.items() if "." not in key}
        run_id = row["run_id"]
        value = _value(objective, parts, errors.get(run_id, {}))
        runs.append(Run(run_id, tuple(roles[run_id]), scalars, parts, value))
    return tuple(runs)


_SHORT = ("w", "loss", "bpb", "train_loss", "tokens", "epochs")


def _column(short: str, run: dict[str, Any]) -> str:
    """A run's own columns: losses of a masked model stand in theirs."""
    return f"masked_{short}" if run["objective"] == "masked" and short.endswith("loss") else short


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _value(objective: Objective, parts: dict[str, Part], errors: dict[str, float]) -> float | None:
    losses = {name: part.loss for name, part in parts.items()} | errors
    if not losses or None in losses.values():
        return None
    trained = [name for name, part in parts.items() if part.weight is not None]
    try:
        return float(objective.value(np.array(list(losses.values()), dtype=np.float64), list(losses), trained))
    except ConfigError:  # a run of a comparison, measured on other domains or tasks
        return None


def _trained(runs: tuple[Run, ...]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name, part in run.parts.items() if part.weight is not None))


def _drawn(runs: tuple[Run, ...]) -> list[Run]:
    """The runs whose curves are shown: what was verified or compared, base runs, then others evenly."""

    def rank(run: Run) -> int:
        kinds = {role.kind for role in run.roles}
        return 0 if kinds & {"verify", "compare", "target"} else 1 if "base" in kinds else 2

    finished = [run for run in runs if run.row["status"] != "failed"]
    first = sorted((run for run in finished if rank(run) < 2), key=rank)[:MOST_CURVES]
    others = [run for run in finished if rank(run) == 2]
    room = min(len(others), MOST_CURVES - len(first))
    return first + [others[len(others) * i // room] for i in range(room)]


def _curve(frame: pd.DataFrame) -> Curve:
    losses = {}
    for split in ("validation", "train"):
        part = frame[frame["split"] == split]
        tokens = sorted(set(part["tokens"].tolist()))
        if len(tokens) > MOST_POINTS:  # the last point stays: it is the final loss
            tokens = [tokens[round(i * (len(tokens) - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]
        if tokens:
            # The last of two records of one point counts.
            wide = part.drop_duplicates(["tokens", "domain"], keep="last")
            wide = wide.pivot(index="tokens", columns="domain", values="loss").reindex(tokens)
            losses[split] = (
                [int(count) for count in tokens],
                {str(name): [_number(value) for value in wide[name].tolist()] for name in wide.columns},
            )
    return Curve(losses)
