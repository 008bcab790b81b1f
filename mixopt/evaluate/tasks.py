"""Words of `--tasks` to tasks: presets, lm-eval's own by name, task files, our offline suite, fine-tuning."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import yaml

from mixopt.errors import ConfigError
from mixopt.evaluation import KIND_OF, EvalTask
from mixopt.plugins import Registry

if TYPE_CHECKING:
    from mixopt.evaluation import EvalRuntime, Evaluator, Outcome
    from mixopt.model_spec import Prediction


class Resolve(Protocol):
    """Names to tasks, on the driver: what cannot be read is refused before anything is scored."""

    def __call__(  # noqa: D102 (documented above)
        self, names: Sequence[str], *, shots: int | None, limit: int | None, seeds: int, data: Path | None
    ) -> list[EvalTask]: ...


@dataclass(frozen=True)
class Suite:
    """Tasks that belong together."""

    prediction: Prediction  # the kind of model that they are for
    resolve: Resolve  # what names stand for
    names: tuple[str, ...] = ()  # of all tasks and groups; empty where they are known only once files are looked at
    # what scores those of kind `finetune`; None for tasks of kind `harness`, which lm-eval scores
    score: Evaluator | None = None


# By the first word of the tasks' names: `glue`, `glue_mrpc`.
SUITES: Registry[Suite] = Registry(
    "suite",
    "mixopt.evaluators",
    {
        "bigbench": "mixopt_finetune.bigbench:BIGBENCH",
        "glue": "mixopt_finetune.suite:SUITE",
        "squad": "mixopt_finetune.suite:SUITE",
    },
    base=Suite,
)


def suite_of(name: str) -> Suite | None:
    """The suite that a task's name belongs to; None where it is nobody's.

    Raises:
        ConfigError: its package, or a library that it needs, is not installed.
    """
    word = next((word for word in SUITES if name == word or name.startswith(f"{word}_")), None)
    if word is None:
        return None
    try:
        return SUITES.get(word)
    except ConfigError as error:
        hint = "; pip install 'mixopt[finetune]'" if word in SUITES.builtin else ""
        raise ConfigError(f"{error}{hint}") from error


# First word of the names of our own tasks; every name that is no suite's either is lm-eval's.
_OFFLINE = "offline"


@dataclass(frozen=True)
class Preset:
    """A list of tasks that a paper evaluates with."""

    source: str  # paper, section, table
    tasks: tuple[str, ...]  # words of `--tasks`


@cache
def presets() -> dict[str, Preset]:
    """The papers' lists by name."""
    content = yaml.safe_load((files("mixopt.evaluate") / "presets.yaml").read_text(encoding="utf-8"))
    return {name: Preset(part["source"], tuple(part["tasks"])) for name, part in content.items()}


@dataclass(frozen=True)
class _Asked:
    """One word: a name or a path, and shots if `@N` gave them."""

    name: str
    shots: int | None

    @property
    def is_path(self) -> bool:
        return "/" in self.name or self.name.endswith((".yaml", ".yml"))


def resolve(
    names: Sequence[str],
    objective: Prediction,
    *,
    data_dir: Path | None,
    task_data: Path | None = None,
    shots: int | None = None,
    limit: int | None = None,
    seeds: int = 1,
) -> list[EvalTask]:
    """The tasks that `names` ask for, each once, in their order.

    Args:
        names: presets (`ado`), suites (`offline`, `bigbench`, `glue`, `squad`), names of lm-eval (groups and tags
            too), task files or folders of them; `@N` after a name for N solved examples in the prompt.
        objective: what the models are: tasks are scored by a causal model as it is, and fine-tune a masked one.
        data_dir: prepared data, whose held-out documents the offline suite is made of.
        task_data: for fine-tuning, a folder of files in the tasks' own schema; what it does not have is the hub's.
        shots: solved examples for names without `@N`; None for what each task asks for.
        limit: most items of each task; None for all.

    Raises:
        ConfigError: an unknown name, or a task of the other kind of model.
        DataError: a local task's data is not there, is empty or lacks fields.
    """
    for what, value, least in (("--shots", shots, 0), ("--limit", limit, 1), ("--seeds", seeds, 1)):
        if value is not None and value < least:
            raise ConfigError(f"{what}: expected at least {least}, found {value}")
    asked = [one for name in names for one in _expand(name)]
    if seeds > 1 and KIND_OF[objective] == "harness":
        raise ConfigError("--seeds: only fine-tuning has seeds; a causal model's scores are the same each time")
    if not asked:
        raise ConfigError("--tasks: expected a task, a preset or a suite, found nothing; `--tasks list` shows them")
    if KIND_OF[objective] == "finetune":
        found = _finetuned(asked, task_data, shots, limit, seeds)
    else:
        found = [task for one in asked for task in _harness(one, data_dir, shots, limit)]
    return list({task.identity: task for task in found}.values())


def _expand(word: str) -> Iterator[_Asked]:
    """A preset's words, or the word itself."""
    name, at, number = word.strip().rpartition("@")
    if not at:
        name, number = word.strip(), ""
    elif not name or not number.isdecimal():
        raise ConfigError(f"--tasks {word}: expected NAME@SHOTS such as hellaswag@10")
    shots = int(number) if number else None
    if name in presets():
        if shots is not None:
            raise ConfigError(f"--tasks {word}: the preset {name} has its own shots; name single tasks for others")
        for one in presets()[name].tasks:
            yield from _expand(one)
    elif name:
        yield _Asked(name, shots)


def _finetuned(
    asked: list[_Asked], task_data: Path | None, shots: int | None, limit: int | None, seeds: int
) -> list[EvalTask]:
    """Fine-tunings of a masked model; each suite is asked once for all of its tasks."""
    if shots is None:
        shots = next((one.shots for one in asked if one.shots is not None), None)
    names: dict[Suite, list[str]] = {}
    for one in asked:
        suite = None if one.is_path else suite_of(one.name)
        if suite is None or suite.prediction != "masked":
            if suite is None and not one.is_path:
                _refuse_unknown(one)
            raise ConfigError(
                f"--tasks {one.name}: a task for causal models, and this one is masked; fine-tune it with --suite "
                "glue or squad"
            )
        names.setdefault(suite, []).append(one.name)
    return [
        task
        for suite, own in names.items()
        for task in suite.resolve(own, shots=shots, limit=limit, seeds=seeds, data=task_data)
    ]


def _harness(one: _Asked, data_dir: Path | None, shots: int | None, limit: int | None) -> list[EvalTask]:
    """Tasks of lm-eval for a causal model."""
    wanted = shots if one.shots is None else one.shots
    if one.is_path:
        return _from_files(one, wanted, limit)
    if one.name == _OFFLINE or one.name.startswith(f"{_OFFLINE}_"):
        from mixopt.evaluate import offline

        return offline.tasks([one.name], data_dir, shots=wanted, limit=limit)
    from mixopt.evaluate.tasks_index import lm_eval_tasks

    if one.name not in lm_eval_tasks() and Path(one.name).is_dir():
        return _from_files(one, wanted, limit)
    suite = None if one.name in lm_eval_tasks() else suite_of(one.name)
    if suite and suite.prediction == "masked":
        raise ConfigError(f"--tasks {one.name}: fine-tuning is for masked models, and this one is causal")
    if suite:
        return suite.resolve([one.name], shots=wanted, limit=limit, seeds=1, data=None)
    _refuse_unknown(one)
    return _named(one.name, wanted, limit)


def _from_files(one: _Asked, shots: int | None, limit: int | None) -> list[EvalTask]:
    from mixopt.evaluate.tasks_files import read_tasks

    return [
        EvalTask(
            name=task.name,
            kind="harness",
            settings={"shots": _shots(task.name, task.shots, shots), "limit": limit},
            files=task.files,
        )
        for task in read_tasks(Path(one.name))
    ]


def _named(name: str, shots: int | None, limit: int | None) -> list[EvalTask]:
    """A task or a group of lm-eval; what has no score of its own as its parts."""
    from mixopt.evaluate.tasks_index import lm_eval_tasks

    entry = lm_eval_tasks()[name]
    if entry.kind == "tag" or (entry.kind == "group" and not entry.aggregates):
        members = [member for member in entry.members if member in lm_eval_tasks()]
        return [task for member in members for task in _named(member, shots, limit)]
    # A group's tasks each have their own shots, so that None stays.
    settled = shots if entry.kind == "group" else _shots(name, entry.shots, shots)
    settings = {"version": entry.version, "shots": settled, "limit": limit}
    return [EvalTask(name=name, kind="harness", settings=settings)]


def _shots(name: str, own: int | None, asked: int | None) -> int:
    """Shots of a task whose file says `own`.

    Raises:
        ConfigError: the file fixes them at none, which lm-eval does not change.
    """
    if own == 0 and asked:
        raise ConfigError(f"--tasks {name}@{asked}: its file fixes the shots at 0; leave @{asked} and --shots out")
    return (own or 0) if asked is None else asked


def _refuse_unknown(one: _Asked) -> None:
    """Raise ConfigError for a name that nobody knows; the nearest are told."""
    from mixopt.evaluate.tasks_index import lm_eval_tasks

    ours = [*presets(), _OFFLINE, *SUITES]
    if one.name in ours or one.name in lm_eval_tasks():
        return
    near = difflib.get_close_matches(one.name, [*ours, *lm_eval_tasks()], n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else "`mixopt eval --tasks list` shows what there is"
    raise ConfigError(f"--tasks: unknown task {one.name!r}; {hint}")


def evaluate(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
    """Score one model at tasks of any kind.

    Args:
        checkpoint: a folder that `from_pretrained` reads.

    Returns:
        The outcome of each task, in their order.

    Raises:
        DataError: the checkpoint cannot be used for tasks of this kind.
        ExecutorError: a GPU was asked for and there is none.
    """
    shares: dict[Evaluator, list[EvalTask]] = {}
    for task in tasks:
        shares.setdefault(_evaluator(task), []).append(task)
    found: dict[str, Outcome] = {}
    for score, share in shares.items():
        for task, outcome in zip(share, score(checkpoint, share, runtime), strict=True):
            found[task.identity] = replace(outcome, identity=task.identity)
    return [found[task.identity] for task in tasks]


def _evaluator(task: EvalTask) -> Evaluator:
    suite = suite_of(task.name) if task.kind == "finetune" else None
    if suite and suite.score:
        return suite.score
    from mixopt.evaluate import harness

    return harness.score
