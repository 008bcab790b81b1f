"""BIG-bench's multiple-choice tasks (Srivastava et al. 2022), from the files of the package `bigbench`.

The package itself is not imported, as it asks for TensorFlow: its `benchmark_tasks/TASK/task.json` are read, and
the prompts are those that its own code makes of them. Evaluation only: each file has a canary text which says that
it must not be trained on.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import ConfigError, DataError
from mixopt.evaluate.offline.continuation import multiple_choice
from mixopt.evaluate.tasks import Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.evaluation import EvalTask

GROUP = "bigbench"

# What `bigbench` stands for: tasks of common sense, knowledge and reasoning with 32 to 2,865 items.
SUITE = (
    "abstract_narrative_understanding/4_distractors", "cause_and_effect/one_sentence", "code_line_description",
    "date_understanding", "general_knowledge", "goal_step_wikihow/step_inference", "intent_recognition",
    "logical_deduction/three_objects", "misconceptions", "novel_concepts", "physical_intuition", "physics",
    "riddle_sense", "social_iqa", "sports_understanding", "strategyqa", "timedial",
    "tracking_shuffled_objects/three_objects", "winowhy",
)  # fmt: skip

# By which BIG-bench shuffles the choices that a prompt lists.
_SEED = 42


def tasks(names: Sequence[str], *, shots: int | None = None, limit: int | None = None, **_: object) -> list[EvalTask]:
    """The tasks that `names` stand for, each once.

    Args:
        names: `bigbench`, or `bigbench_TASK` (with all its subtasks) or `bigbench_TASK_SUBTASK`.
        shots: solved examples in the prompt, by default none.
        limit: most items that are scored.

    Raises:
        ConfigError: the package is not installed, or has no such task.
        DataError: a task is not multiple choice, or its file cannot be read.
    """
    files: dict[str, Path] = {}
    for name in names:
        known = _known(name)
        for one in [_name(part) for part in SUITE] if name == GROUP else [name]:
            files |= _find(one, known)
    found = [_read(name, path) for name, path in files.items()]
    return [replace(task, settings={"shots": shots or 0, "limit": limit}) for task in found]


def _known(name: str) -> dict[str, Path]:
    """Files of the installed package's tasks by their names; it is found without importing it."""
    spec = find_spec("bigbench")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "benchmark_tasks"
        if files := sorted(folder.glob("*/**/task.json")):
            return {_name(file.parent.relative_to(folder).as_posix()): file for file in files}
    raise ConfigError(
        f"--tasks {name}: expected the package `bigbench` with its benchmark_tasks, found none; clone "
        "https://github.com/google/BIG-bench and put the clone on PYTHONPATH (nothing of it is imported)"
    )


def _find(name: str, known: dict[str, Path]) -> dict[str, Path]:
    """The file of a task, or those of its subtasks."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise ConfigError(f"--tasks: BIG-bench has no task {name!r}; nearest: {', '.join(near) or 'none'}")
    parts = {one: file for one, file in known.items() if known[name].parent in file.parent.parents}
    return parts or {name: known[name]}


def _name(part: str) -> str:
    return f"{GROUP}_{part.replace('/', '_')}"


def _read(name: str, path: Path) -> EvalTask:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); install BIG-bench again") from error
    distinct = {json.dumps(example): example for example in content.get("examples", [])}
    try:
        items = [_item(example, content) for example in distinct.values()]
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise DataError(
            f"--tasks {name}: expected a multiple-choice task (examples with input and target_scores), found an "
            f"example without in {path}; leave it out"
        ) from error
    if not items:
        raise DataError(f"--tasks {name}: the split has no items: {path} has no examples; leave it out")
    separator = content.get("few_shot_example_separator", "\n")
    return multiple_choice(
        name,
        items,
        description="{{prefix}}",  # a field, so that braces in it are not read as a template
        fewshot_delimiter=separator,
        fewshot_config={"doc_to_target": "first"},
    )


def _item(example: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """One example as BIG-bench's own formatting writes it; right are the choices of the highest score."""
    scores: dict[str, float] = example["target_scores"]
    choices, highest = list(scores), max(scores.values(), default=0)
    context = content.get("example_input_prefix", "\nQ: ") + example["input"]
    if content.get("append_choices_to_input", True):
        # The same generator, and anew for each example, as BIG-bench has it: the prompts are then its own.
        order = np.random.RandomState(_SEED).permutation(sorted(choices)).tolist()
        context += "".join(content.get("choice_prefix", "\n  choice: ") + choice for choice in order)
    gold = [place for place, choice in enumerate(choices) if scores[choice] == highest]
    return {
        "prefix": content.get("task_prefix", ""),
        "context": context + content.get("example_output_prefix", "\nA: "),
        "endings": choices,
        "gold": gold,
        "first": gold[0],
    }


BIGBENCH = Suite("causal", tasks)
