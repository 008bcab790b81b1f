"""BIG-bench's tasks, from files in the layout of its package: prompts as its own code writes them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mixopt.errors import ConfigError, DataError
from mixopt_finetune import bigbench

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "a text by which files like this one are found in training data"


def write_task(folder: Path, *examples: dict[str, Any], **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"canary": CANARY, "name": folder.name, "description": "", "keywords": [], **more}
    if examples:
        content |= {"examples": examples, "metrics": ["multiple_choice_grade"], "preferred_score": "x"}
    (folder / "task.json").write_text(json.dumps(content))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of that name that would fail if it was imported; its folder of tasks."""
    folder = tmp_path / "bigbench" / "benchmark_tasks"
    folder.mkdir(parents=True)
    (tmp_path / "bigbench" / "__init__.py").write_text("import tensorflow_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def rows(name: str) -> list[dict[str, Any]]:
    [task] = bigbench.tasks([name])
    return [json.loads(line) for line in dict(task.files)[f"{task.name}.jsonl"].splitlines()]


def test_prompts_have_bigbenchs_own_defaults(package: Path) -> None:
    scores = {"two": 0, "four": 1, "six": 0, "three": 0, "one": 0, "none": 0}
    write_task(package / "general_knowledge", {"input": "How many legs do horses have?", "target_scores": scores})
    [row] = rows("bigbench_general_knowledge")
    # The order in which the package itself lists the choices of this question.
    listed = "".join(f"\n  choice: {choice}" for choice in ("four", "none", "two", "one", "three", "six"))
    assert row["context"] == f"\nQ: How many legs do horses have?{listed}\nA: "
    assert row["endings"] == list(scores)
    assert row["gold"] == [1]
    assert row["prefix"] == ""
    assert "bigbench" not in sys.modules


def test_a_tasks_own_prefixes_are_kept(package: Path) -> None:
    write_task(
        package / "logical_deduction" / "three_objects",
        {"input": "The book is red.", "target_scores": {"So it is.": 0, "It is {{red}}.": 1, "It is.": 1}},
        task_prefix="The following {{hold}}.\n\n",
        example_input_prefix="",
        example_output_prefix=" ",
        append_choices_to_input=False,
        few_shot_example_separator="\n\n",
    )
    write_task(package / "logical_deduction")
    [task] = bigbench.tasks(["bigbench_logical_deduction"], shots=2, limit=5)
    assert task.name == "bigbench_logical_deduction_three_objects"
    assert task.settings == {"shots": 2, "limit": 5}
    [row] = rows(task.name)
    assert row["context"] == "The book is red. "
    assert row["gold"] == [1, 2]
    assert row["first"] == 1
    assert row["prefix"] == "The following {{hold}}.\n\n"
    config = yaml.safe_load(dict(task.files)[f"{task.name}.yaml"])
    assert config["fewshot_delimiter"] == "\n\n"
    assert config["target_delimiter"] == ""


def test_a_task_stands_for_all_its_subtasks(package: Path) -> None:
    example = {"input": "Which?", "target_scores": {"this": 1, "that": 0}}
    write_task(package / "cause_and_effect")
    for part in ("two_sentences", "one_sentence"):
        write_task(package / "cause_and_effect" / part, example)
    found = [task.name for task in bigbench.tasks(["bigbench_cause_and_effect"])]
    assert found == ["bigbench_cause_and_effect_one_sentence", "bigbench_cause_and_effect_two_sentences"]


def test_the_suite_is_all_of_its_tasks(package: Path) -> None:
    for part in bigbench.SUITE:
        write_task(package / part, {"input": part, "target_scores": {"this": 1, "that": 0}})
    found = bigbench.tasks(["bigbench", "bigbench_physics"])
    assert len(found) == len({task.name for task in found}) == len(bigbench.SUITE)


def test_examples_are_taken_once(package: Path) -> None:
    example = {"input": "Which?", "target_scores": {"this": 1, "that": 0}}
    write_task(package / "physics", example, example, {**example, "input": "What?"})
    assert [row["context"].split()[1] for row in rows("bigbench_physics")] == ["Which?", "What?"]


def test_the_canary_stays_in_the_package(package: Path) -> None:
    write_task(package / "physics", {"input": "Which?", "target_scores": {"this": 1, "that": 0}})
    [task] = bigbench.tasks(["bigbench_physics"])
    assert not any(CANARY.encode() in content for _, content in task.files)


@pytest.mark.parametrize("example", [{"input": "Say it.", "target": "it"}, {"input": "?", "target_scores": {}}, 3])
def test_a_task_without_choices_is_refused(package: Path, example: Any) -> None:
    write_task(package / "physics", example)
    with pytest.raises(DataError, match=r"bigbench_physics: .*multiple-choice .*task\.json"):
        bigbench.tasks(["bigbench_physics"])


def test_mistakes_get_one_line(package: Path) -> None:
    write_task(package / "novel_concepts", {"input": "?", "target_scores": {"a": 1, "b": 0}})
    with pytest.raises(ConfigError, match="'bigbench_novel_concept'; nearest: bigbench_novel_concepts"):
        bigbench.tasks(["bigbench_novel_concept"])
    write_task(package / "empty")
    with pytest.raises(DataError, match=r"bigbench_empty: .*no items"):
        bigbench.tasks(["bigbench_empty"])
    (package / "empty" / "task.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        bigbench.tasks(["bigbench_empty"])


def test_without_the_package_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigbench, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"bigbench: .*package .*PYTHONPATH"):
        bigbench.tasks(["bigbench"])
