"""What a comparison is between: mixtures to be trained where they are missing, and runs that are there."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError
from mixopt.methods.registry import method_names
from mixopt.mixture import Mixture
from mixopt.study.loop import plan_targets
from mixopt.study.mixtures import resolve_mixture
from mixopt.study.policies import PolicyAsked, plan_policies
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.execute.base import Job
    from mixopt.result import Run
    from mixopt.role import Role
    from mixopt.spec import RunSpec
    from mixopt.store import Store
    from mixopt.study.study import Study

_RUN_ID = re.compile(r"[0-9a-f]{4,16}", re.IGNORECASE)


@dataclass(frozen=True)
class Contender:
    """One thing to compare, as it was asked for."""

    # a mixture as `resolve_mixture` reads it, a policy as `PolicyAsked.parse` does, or the start of a run's id (4
    # digits or more)
    text: str
    label: str | None = None  # what to call it; None for the mixture's own name, or what the table knows of the run

    @classmethod
    def parse(cls, word: str) -> Contender:
        """`SPEC` or `NAME=SPEC`; the `=` of a policy's options makes no name.

        Raises:
            ConfigError: the name or what follows it is empty, or the name would break a table's line.
        """
        label, equals, text = word.partition("=")
        if not equals or Path(word).exists() or PolicyAsked.is_word(word):
            return cls(word)
        if not label.strip() or not text or not label.isprintable():
            raise ConfigError(f"expected NAME=MIXTURE or NAME=RUN with a printable name, found {word!r}")
        return cls(text, label.strip())

    @property
    def is_run(self) -> bool:
        """Whether it is the start of a run's id; a file of that name is a mixture."""
        return bool(_RUN_ID.fullmatch(self.text)) and not Path(self.text).exists()

    @property
    def name(self) -> str:
        """What a mixture is called: the label, a file's name without its ending, or the text."""
        return self.label or (Path(self.text).stem if Path(self.text).is_file() else self.text)


def default_contenders(study: Study, store: Store) -> list[Contender]:
    """Uniform, natural, and what studies of this data recommend: the study's own, else each method's newest."""
    newest_first = reversed(store.studies())
    found: dict[str, Contender] = {}
    # A stable sort: the study's own record, then the others, newest first.
    for record in sorted(newest_first, key=lambda record: record["study_id"] != study.study_id):
        method, study_id, config = record["command"], record["study_id"], record["config"]
        same = config.get("fingerprint") == study.manifest.fingerprint
        answer = store.folder / "studies" / study_id / "recommendation.json"
        if (
            same
            and method in method_names()
            and set(config.get("domains", ())) == set(study.domains)
            and answer.exists()
        ):
            found.setdefault(method, Contender(f"{method}:{study_id}", method))
    return [Contender("uniform"), Contender("natural"), *found.values()]


def plan_mixtures(
    study: Study, contenders: Iterable[Contender], tokens: int, seeds: Sequence[int], store: Store
) -> dict[str, list[Job]]:
    """The target runs of each mixture or policy, by its name.

    Raises:
        ConfigError: two have one name, there is no such mixture, or it repeats its data too often.
    """
    planned: dict[str, list[Job]] = {}
    for contender in contenders:
        name, text = contender.name, contender.text
        if name in planned:
            raise ConfigError(f"two mixtures are called {name!r}; name one of them: NAME={text}")
        if PolicyAsked.is_word(text):
            planned[name] = plan_policies(study, {name: PolicyAsked.parse(text)}, tokens, seeds, store)
        else:
            planned[name] = plan_targets(study, {name: resolve_mixture(text, study, store)}, tokens, seeds)
    return planned


def recorded(
    planned: dict[str, list[Job]], store: Store, notes: list[str], named: Container[str] = ()
) -> dict[str, list[Run]]:
    """What the table has of planned runs, by the mixture's name; what is missing is noted.

    Mixtures in `named` were asked for by name, and cannot be left out.

    Raises:
        ConfigError: it has none of the runs of a mixture in `named`.
    """
    there = {row["run_id"] for row in store.rows()}
    groups: dict[str, list[Run]] = {}
    for name, runs in planned.items():
        found = [store.get(run.spec.run_id) for run in runs if run.spec.run_id in there]
        missing = [str(run.spec.seed) for run in runs if run.spec.run_id not in there]
        if found:
            groups[name] = found
        elif name in named:
            raise ConfigError(
                f"{name!r}: none of its {len(runs)} runs of {format_count(runs[0].spec.tokens)} tokens is in "
                f"{store.path}; leave out --no-train to train them, or give the ids of runs (`mixopt runs list`)"
            )
        if missing:
            notes.append(f"{name!r}: the table has no run of seed {', '.join(missing)} (--no-train)")
    return groups


def group_runs(contenders: Iterable[Contender], store: Store) -> dict[str, list[Run]]:
    """Runs by what they are called: those that differ in their seed only, and have one label, go together.

    Raises:
        StoreError: there is no such run.
        ConfigError: runs of one label differ in more than their seed.
    """
    groups: dict[tuple[str | None, str], dict[str, Run]] = {}
    for contender in contenders:
        run = store.get(store.find(contender.text))
        question = replace(run[0], seed=0).run_id
        groups.setdefault((contender.label, question), {})[run[0].run_id] = run
    roles = _roles(store)
    named: dict[str, list[Run]] = {}
    for (label, _), runs in groups.items():
        first = next(iter(runs))
        if label in named:
            raise ConfigError(
                f"runs {named[label][0][0].run_id} and {first}, both called {label!r}, differ in more than their "
                "seed; give them different names"
            )
        name = label or _name(runs[first][0], roles.get(first, []))
        named[f"{name} {first[:8]}" if name in named else name] = list(runs.values())
    return named


def _roles(store: Store) -> dict[str, list[Role]]:
    """What each run is for in the studies that use it."""
    found: dict[str, list[Role]] = {}
    for study in store.studies():
        for run_id, role in study["runs"]:
            found.setdefault(run_id, []).append(role)
    return found


def _name(spec: RunSpec, roles: list[Role]) -> str:
    """What a target or a verification called the run's mixture, else uniform, another role, or the id's start."""
    for kind in ("target", "verify"):
        for role in roles:
            if role.kind == kind:
                return role.name
    if spec.policy.name == "static" and spec.mixture.distance(Mixture.uniform(spec.data.domains)) < 1e-9:
        return "uniform"
    return str(roles[0]) if roles else spec.run_id[:8]
