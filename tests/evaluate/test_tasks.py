"""Words of `--tasks` become tasks, or one line on why not, before anything is started."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError, DataError, MixoptError
from mixopt.evaluate import harness, tasks, tasks_index
from mixopt.evaluate.tasks import Suite, evaluate, presets, resolve, suite_of
from mixopt.evaluate.tasks_index import Entry
from mixopt.evaluation import EvalRuntime, EvalTask, Outcome
from mixopt.plugins import Registry
from tests.trained import write_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


KNOWN = {
    "hellaswag": Entry(kind="task", path="hellaswag/hellaswag.yaml", version="1.0"),
    "truthfulqa_mc2": Entry(kind="task", path="truthfulqa/mc2.yaml", version="3.0", shots=0),
    "anatomy": Entry(kind="task", path="mmlu/anatomy.yaml", version="1.0", shots=3),
    "mmlu": Entry(kind="group", path="mmlu/_mmlu.yaml", version="2", members=("anatomy",), aggregates=True),
    "both": Entry(kind="group", path="both.yaml", members=("hellaswag", "tagged")),
    "tagged": Entry(kind="tag", members=("anatomy", "gone")),
    "mrpc": Entry(kind="task", path="glue/mrpc.yaml"),
}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {
        name.partition("@")[0]: Entry(kind="task", path="x.yaml", version="1.0")
        for preset in presets().values()
        for name in preset.tasks
    }
    monkeypatch.setattr(tasks_index, "lm_eval_tasks", lambda: {**listed, **KNOWN})


def asked(*names: str, objective: str = "causal", **options: object) -> list[tuple[str, int | None]]:
    tasks = resolve(names, objective, data_dir=None, **options)
    return [(task.name, task.settings.get("shots")) for task in tasks]


def test_a_preset_is_the_papers_list_with_its_shots() -> None:
    assert [name for name, _ in asked("ado")] == [
        "hellaswag", "winogrande", "piqa", "arc_easy", "sciq", "logiqa2", "lambada_openai",
    ]  # fmt: skip
    assert {shots for _, shots in asked("ado", shots=5)} == {0}
    assert asked("autoscale") == [
        ("boolq", 0), ("hellaswag", 0), ("hellaswag", 10), ("piqa", 0), ("truthfulqa_mc2", 0), ("pubmedqa", 10),
        ("crows_pairs_english", 25), ("arc_easy", 0), ("bigbench_novel_concepts_multiple_choice", 0),
    ]  # fmt: skip


def test_shots_of_a_name_of_the_command_and_of_the_task_in_this_order() -> None:
    assert asked("hellaswag@10", "anatomy", "anatomy@0", "hellaswag") == [
        ("hellaswag", 10), ("anatomy", 3), ("anatomy", 0), ("hellaswag", 0),
    ]  # fmt: skip
    assert asked("hellaswag@10", "anatomy", shots=2) == [("hellaswag", 10), ("anatomy", 2)]


def test_the_same_task_twice_is_one() -> None:
    assert asked("hellaswag", "hellaswag@0", "both") == [("hellaswag", 0), ("anatomy", 3)]


def test_a_group_with_a_score_stays_and_others_are_their_parts() -> None:
    assert asked("mmlu") == [("mmlu", None)]
    assert asked("mmlu@5") == [("mmlu", 5)]
    assert asked("both") == [("hellaswag", 0), ("anatomy", 3)]


def test_what_changes_scores_changes_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    def identity(**options: object) -> str:
        return resolve(["hellaswag"], "causal", data_dir=None, **options)[0].identity

    same, other = identity(), {identity(shots=1), identity(limit=5)}
    assert identity(shots=0) == same
    assert len({same, *other}) == 3
    monkeypatch.setitem(KNOWN, "hellaswag", Entry(kind="task", path="x.yaml", version="2.0"))
    assert identity() != same


@pytest.mark.parametrize(
    ("names", "objective", "options", "line"),
    [
        (["helaswag"], "causal", {}, r"'helaswag'.*nearest: hellaswag"),
        (["zzzz"], "causal", {}, "`mixopt eval --tasks list` shows"),
        (["hellaswag@few"], "causal", {}, "NAME@SHOTS"),
        (["ado@5"], "causal", {}, r"preset ado .*shots"),
        (["truthfulqa_mc2@5"], "causal", {}, "shots at 0"),
        ([""], "causal", {}, "task, a preset or a suite"),
        (["offline"], "causal", {}, "--data"),
        (["glue_mrpc"], "causal", {}, r"for masked models.*causal"),
        (["hellaswag"], "masked", {}, r"for causal models.*masked"),
        (["offline"], "masked", {}, r"for causal models.*masked"),
        (["glu"], "masked", {}, r"'glu'.*nearest: glue"),
        (["glue"], "masked", {"shots": 2}, "leave it out"),
        (["hellaswag"], "causal", {"shots": -1}, r"--shots: .*found -1"),
        (["hellaswag"], "causal", {"limit": 0}, r"--limit: .*found 0"),
        (["hellaswag"], "causal", {"seeds": 3}, "only fine-tuning has seeds"),
        (["no/such.yaml"], "causal", {}, "no/such.yaml: no such file"),
    ],
)
def test_a_mistake_gives_one_line(names: list[str], objective: str, options: dict[str, int], line: str) -> None:
    with pytest.raises(MixoptError, match=line) as caught:
        resolve(names, objective, data_dir=None, **options)
    assert "\n" not in str(caught.value)


def test_a_folder_of_task_files_is_packed_with_its_data(task_folder: Path) -> None:
    tasks = resolve([str(task_folder)], "causal", data_dir=None, limit=3)
    assert [task.name for task in tasks] == ["made_choices", "made_texts"]
    packed = dict(tasks[0].files)
    assert set(packed) == {"made_choices.yaml", "shown.jsonl", "choices.jsonl"}
    assert packed["choices.jsonl"] == (task_folder / "choices.jsonl").read_bytes()
    assert tasks[0].settings == {"shots": 0, "limit": 3}


def test_one_file_is_one_task_and_its_data_is_in_its_identity(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "tasks", items=4)
    [first] = resolve([f"{folder}/made_texts.yaml@0"], "causal", data_dir=None)
    assert first.name == "made_texts"
    with (folder / "texts.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    [second] = resolve([f"{folder}/made_texts.yaml"], "causal", data_dir=None)
    assert first.identity != second.identity


def test_includes_and_functions_beside_a_task_file_are_packed(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "tasks", items=4)
    (folder / "ours.yaml").write_text(
        "include: made_texts.yaml\ntask: ours\nprocess_docs: !function helpers.shorten\nnum_fewshot: 2\n"
    )
    (folder / "helpers.py").write_text("def shorten(docs):\n    return docs\n")
    [task] = resolve([str(folder / "ours.yaml")], "causal", data_dir=None)
    assert [name for name, _ in task.files] == ["ours.yaml", "made_texts.yaml", "helpers.py", "texts.jsonl"]
    assert task.settings["shots"] == 2


@pytest.mark.parametrize(
    ("change", "kind", "line"),
    [
        (("doc_to_target: gold", ""), ConfigError, r"bad.yaml: .*doc_to_target"),
        (("doc_to_choice: endings", ""), ConfigError, "no doc_to_choice"),
        (("output_type: multiple_choice", ""), ConfigError, "no output_type"),
        (("test_split: test", ""), ConfigError, "neither test_split nor validation_split"),
        (("test_split: test", "test_split: dev"), ConfigError, r"split 'dev', .*data_files"),
        (("task: made_choices", "task: [a, b]"), ConfigError, "one task, found a list"),
        (("task: made_choices", "task: {"), ConfigError, "cannot be read"),
        (("{{start}}", "{{begin}}"), DataError, r"line 1 \(train\): .*no begin"),
        (("{{start}}", "{{start"), ConfigError, r"bad.yaml: .*doc_to_text"),
        (("doc_to_choice: endings", "doc_to_choice: options"), DataError, "no options"),
        (("choices.jsonl", "absent.jsonl"), DataError, "absent.jsonl is not there"),
        (("choices.jsonl", "empty.jsonl"), DataError, "'test' has no items"),
        (("choices.jsonl", "broken.jsonl"), DataError, "broken.jsonl: cannot be read"),
        (("choices.jsonl", "numbers.jsonl"), DataError, r"line 1: .*found int"),
    ],
)
def test_a_broken_task_file_gives_one_line(
    tmp_path: Path, change: tuple[str, str], kind: type[MixoptError], line: str
) -> None:
    folder = write_tasks(tmp_path / "tasks", items=4)
    (folder / "empty.jsonl").write_text("\n")
    (folder / "broken.jsonl").write_text('{"start": \n')
    (folder / "numbers.jsonl").write_text("5\n")
    text = (folder / "made_choices.yaml").read_text()
    assert change[0] in text
    (folder / "bad.yaml").write_text(text.replace(*change))
    with pytest.raises(kind, match=line) as caught:
        resolve([str(folder / "bad.yaml")], "causal", data_dir=None)
    assert "\n" not in str(caught.value)


def test_a_file_outside_the_tasks_folder_is_refused(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "tasks", items=4)
    (tmp_path / "common.yaml").write_text((folder / "made_texts.yaml").read_text())
    (folder / "ours.yaml").write_text("include: ../common.yaml\ntask: ours\n")
    with pytest.raises(ConfigError, match="outside the task's folder"):
        resolve([str(folder / "ours.yaml")], "causal", data_dir=None)


def test_data_that_is_one_json_list_is_read(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "tasks", items=4)
    rows = [json.loads(line) for line in (folder / "texts.jsonl").read_text().splitlines()]
    (folder / "texts.jsonl").write_text(json.dumps(rows))
    assert asked(str(folder / "made_texts.yaml")) == [("made_texts", 0)]
    (folder / "texts.jsonl").write_text(json.dumps([*rows, {"words": 1}]))
    with pytest.raises(DataError, match=r"line 5 \(test\): .*no text"):
        asked(str(folder / "made_texts.yaml"))


def fresh(monkeypatch: pytest.MonkeyPatch, **own: str) -> None:
    """A registry that has looked at nothing yet."""
    registry = Registry("suite", "mixopt.evaluators", {**tasks.SUITES.builtin, **own}, base=Suite)
    monkeypatch.setattr(tasks, "SUITES", registry)


def test_a_name_belongs_to_the_suite_of_its_first_word() -> None:
    assert suite_of("hellaswag") is None
    assert suite_of("glued") is None
    glue, squad = suite_of("glue_mrpc"), suite_of("squad")
    assert glue is squad is not None
    assert glue.prediction == "masked"


@pytest.mark.parametrize(("word", "module"), [("glue", "suite"), ("bigbench_physics", "bigbench")])
def test_without_the_extra_it_is_said_what_to_install(word: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh(monkeypatch)
    monkeypatch.setitem(sys.modules, f"mixopt_finetune.{module}", None)
    with pytest.raises(ConfigError, match=r"mixopt_finetune.*pip install 'mixopt\[finetune\]'"):
        suite_of(word)


def test_a_library_that_the_extra_brings_is_missed_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh(monkeypatch)
    monkeypatch.delitem(sys.modules, "mixopt_finetune.suite", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"scikit-learn.*pip install 'mixopt\[finetune\]'"):
        suite_of("squad")


def test_a_suite_of_anybodys_own_is_asked_for_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("riddles")
    module.SUITE = Suite(  # pyright: ignore[reportAttributeAccessIssue]
        "causal", lambda names, **_: [EvalTask(name=name, kind="harness") for name in names]
    )
    monkeypatch.setitem(sys.modules, "riddles", module)
    fresh(monkeypatch, riddles="riddles:SUITE")
    found = resolve(["riddles_hard"], "causal", data_dir=None)
    assert [task.name for task in found] == ["riddles_hard"]
    with pytest.raises(ConfigError, match="riddles_hard: a task for causal models"):
        resolve(["riddles_hard"], "masked", data_dir=None)


TASKS = [
    EvalTask(name="glue_mrpc", kind="finetune", settings={"seed": 0}),
    EvalTask(name="sciq", kind="harness", settings={"shots": 0}),
    EvalTask(name="sciq", kind="harness", settings={"shots": 5}),
    EvalTask(name="glue_mrpc", kind="finetune", settings={"seed": 1}),
]


def evaluator(kind: str, calls: list[tuple[str, int]]) -> Callable[..., list[Outcome]]:
    def score(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
        calls.append((kind, len(tasks)))
        return [Outcome(task=task.name, error=f"{checkpoint} {task.settings}") for task in tasks]

    return score


def test_outcomes_are_in_the_tasks_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(harness, "score", evaluator("harness", calls))
    suite = Suite("masked", lambda *_, **__: [], score=evaluator("finetune", calls))
    monkeypatch.setattr(tasks, "suite_of", lambda name: suite)
    outcomes = evaluate(Path("model"), TASKS, EvalRuntime())
    assert calls == [("finetune", 2), ("harness", 2)]
    assert [outcome.identity for outcome in outcomes] == [task.identity for task in TASKS]
    assert [outcome.error for outcome in outcomes] == [f"model {task.settings}" for task in TASKS]


def test_an_error_of_the_whole_model_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[Outcome]:
        raise ValueError("no model")

    monkeypatch.setattr(harness, "score", broken)
    with pytest.raises(ValueError, match="no model"):
        evaluate(Path("model"), TASKS[1:2], EvalRuntime())
