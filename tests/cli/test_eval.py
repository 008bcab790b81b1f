"""`mixopt eval` through its command line; a stand-in scores, except where lm-eval's own tests do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.errors import ConfigError, DataError, MixoptError, StoreError
from mixopt.evaluate import harness, tasks, tasks_index
from mixopt.evaluate.tasks_index import Entry
from mixopt.evaluation import EvalRuntime, EvalTask, Outcome
from mixopt.role import Role
from mixopt.score import Score
from mixopt.store import Store
from mixopt_finetune.suite import SUITE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from click.testing import Result

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

KNOWN = {
    "sciq": Entry(kind="task", path="sciq.yaml", version="1.0"),
    "gone": Entry(kind="task", path="gone.yaml", version="1.0"),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, EvalRuntime]]:
    """Stand-ins for lm-eval and fine-tuning; a list of the tasks that they were asked, with shots, and where."""
    calls: list[tuple[str, int, EvalRuntime]] = []

    def score(checkpoint: Path, tasks: Sequence[EvalTask], runtime: EvalRuntime) -> list[Outcome]:
        outcomes = []
        for task in tasks:
            shots, seed = task.settings.get("shots") or 0, task.settings.get("seed")
            calls.append((task.name, shots, runtime))
            if task.name == "gone":
                outcomes.append(Outcome(task=task.name, error="its data set is not on this machine"))
                continue
            main = Score(
                task=task.name,
                metric="acc",
                value=0.35 + shots / 100 + (seed or 0) / 50,
                standard_error=0.02,
                items=200,
                identity=task.identity,
                shots=shots,
                seed=seed,
                main=True,
                chance=0.25,
            )
            beside = replace(main, metric="acc_norm", value=0.5, main=False)
            outcomes.append(Outcome(task=task.name, scores=(beside, main)))
        return outcomes

    monkeypatch.setattr(harness, "score", score)
    known = tasks.suite_of
    monkeypatch.setattr(tasks, "suite_of", lambda name: known(name) and replace(SUITE, score=score))
    monkeypatch.setattr(tasks_index, "lm_eval_tasks", lambda: KNOWN)
    return calls


@pytest.fixture
def mixopt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in an empty folder; errors come out as exceptions."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def run(*words: object, status: int = 0) -> Result:
        result = runner.invoke(app, list(map(str, words)), catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def run_id(kept_run: tuple[RunSpec, RunResult, Path], tmp_path: Path) -> str:
    """A run in the table of an empty folder, with its kept model."""
    spec, result, folder = kept_run
    with Store(tmp_path / "results") as store:
        store.record(spec, result)
        store.save_study("a" * 12, "ddo", {}, [(spec.run_id, Role("base"))])
    shutil.copytree(folder, tmp_path / "results" / "checkpoints" / spec.run_id / "final")
    return spec.run_id


INLINE = ("--executor", "inline")


def test_scores_are_shown_beside_chance_and_found_again(
    mixopt: Callable[..., Result], run_id: str, asked: list[tuple[str, int, EvalRuntime]]
) -> None:
    words = ("eval", run_id[:6], "--tasks", "sciq,sciq@5,gone", *INLINE, "--device", "cpu", "--batch-size", "4")
    first = mixopt(*words)
    assert [(name, shots) for name, shots, _ in asked] == [("sciq", 0), ("sciq", 5), ("gone", 0)]
    assert asked[0][2] == EvalRuntime(device="cpu", batch_size=4)
    lines = {tuple(line.split()) for line in first.stdout.splitlines()}
    assert ("sciq@0", "acc", "0.3500", "±", "0.0200", "0.250", "+5.0", "SE", "200") in lines
    assert ("sciq@5", "acc", "0.4000", "±", "0.0200", "0.250", "+7.5", "SE", "200") in lines
    assert ("acc_norm", "0.5000", "±", "0.0200", "0.250", "+12.5", "SE", "200") in lines
    assert any(line[:1] == ("average",) and "0.3750" in line and "0.0141" in line for line in lines)
    assert "not had: gone: its data set is not on this machine" in first.stdout
    assert "gone could not be had; 3/3 tasks done" in first.stderr
    asked.clear()
    again = mixopt(*words, "--json")
    assert [name for name, _, _ in asked] == ["gone"], "what was had is not scored again, what was not is tried"
    assert "2 of 3 scores are in the table already" in again.stderr
    [told] = json.loads(again.stdout)["models"]
    assert (told["name"], told["subject"]) == (run_id[:8], run_id)
    assert told["missing"] == {"gone": "its data set is not on this machine"}
    assert told["average"]["value"] == pytest.approx(0.375)
    assert {(row["task"], row["metric"], row["main"]) for row in told["tasks"]} == {
        (f"sciq@{shots}", metric, main) for shots in (0, 5) for metric, main in (("acc", True), ("acc_norm", False))
    }


def test_a_run_shows_its_scores(
    mixopt: Callable[..., Result], run_id: str, asked: list[tuple[str, int, EvalRuntime]]
) -> None:
    assert "sciq" not in mixopt("runs", "show", run_id).stdout
    mixopt("eval", run_id, "--tasks", "sciq", *INLINE, "--quiet")
    shown = mixopt("runs", "show", run_id).stdout
    row = next(line.split() for line in shown.splitlines() if line.lstrip().startswith("sciq"))
    assert row == ["sciq", "acc", "0.3500", "±", "0.0200", "0.250", "+5.0", "SE", "200"]
    scores = json.loads(mixopt("runs", "show", run_id, "--json").stdout)["scores"]
    assert [(score["metric"], score["value"]) for score in scores] == [("acc", 0.35), ("acc_norm", 0.5)]


def test_several_models_give_columns_and_a_runs_folder_is_that_run(
    mixopt: Callable[..., Result],
    run_id: str,
    checkpoint: Path,
    tmp_path: Path,
    asked: list[tuple[str, int, EvalRuntime]],
) -> None:
    other = shutil.copytree(checkpoint, tmp_path / "some" / "other" / "final")
    kept = f"results/checkpoints/{run_id}/final"
    told = json.loads(mixopt("eval", kept, other, "--tasks", "sciq", *INLINE, "--json", "--quiet").stdout)
    assert [model["name"] for model in told["models"]] == [run_id[:8], "other"], "short, and still apart"
    assert told["models"][0]["subject"] == run_id
    assert told["models"][1]["subject"] != run_id
    table = mixopt("eval", run_id, "some/other/final", "--tasks", "sciq", *INLINE).stdout
    assert any({run_id[:8], "other", "chance"} <= set(line.split()) for line in table.splitlines())
    assert len(asked) == 2, "the folder under another path is the same checkpoint"


def test_a_masked_models_fine_tunings_are_averaged_over_seeds(
    mixopt: Callable[..., Result], checkpoint: Path, tmp_path: Path, asked: list[tuple[str, int, EvalRuntime]]
) -> None:
    model = shutil.copytree(checkpoint, tmp_path / "masked")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    words = ("eval", "masked", "--suite", "squad", "--seeds", "3", *INLINE, "--quiet")
    [told] = json.loads(mixopt(*words, "--json").stdout)["models"]
    row = next(row for row in told["tasks"] if row["metric"] == "acc")
    assert (row["seeds"], row["value"]) == (3, pytest.approx(0.37))
    # The spread over seeds, 0.35, 0.37 and 0.39, over the root of their number.
    assert row["standard_error"] == pytest.approx(0.02 / 3**0.5)
    assert "200 x 3 seeds" in mixopt(*words).stdout
    assert len(asked) == 3
    with pytest.raises(ConfigError, match=r"sciq: .*causal.*masked"):
        mixopt("eval", "masked", "--tasks", "sciq", *INLINE)


def test_an_interrupted_evaluation_goes_on_where_it_stood(
    mixopt: Callable[..., Result],
    run_id: str,
    asked: list[tuple[str, int, EvalRuntime]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in = harness.score

    def stopped(checkpoint: Path, tasks: Sequence[EvalTask], *rest: object) -> list[Outcome]:
        if asked:
            raise KeyboardInterrupt
        return stand_in(checkpoint, tasks, *rest)  # type: ignore[arg-type]

    words = ("eval", run_id, "--tasks", "sciq,sciq@1,sciq@2", *INLINE)
    with monkeypatch.context() as patch:
        patch.setattr(harness, "score", stopped)
        mixopt(*words, status=130)
    assert [shots for _, shots, _ in asked] == [0]
    asked.clear()
    mixopt(*words)
    assert [shots for _, shots, _ in asked] == [1, 2]


def test_nothing_at_all_ends_with_status_one(
    mixopt: Callable[..., Result], run_id: str, asked: list[tuple[str, int, EvalRuntime]]
) -> None:
    result = mixopt("eval", run_id, "--tasks", "gone", *INLINE, status=1)
    assert "not had: gone: its data set is not on this machine" in result.stdout


@pytest.mark.parametrize(
    ("words", "kind", "line"),
    [
        (("--tasks", "sciq"), ConfigError, r"run's id.*found nothing"),
        (("RUN",), ConfigError, "expected --tasks or --suite"),
        (("RUN", "--tasks", "siq"), ConfigError, r"'siq'.*nearest: sciq"),
        (("RUN", "--suite", "glue"), ConfigError, r"--suite glue: .*masked"),
        (("RUN", "--tasks", "sciq", "--device", "tpu"), ConfigError, r"executor\.device: .*cuda"),
        (("RUN", "--tasks", "sciq", "--batch-size", "0"), ConfigError, r"--batch-size: .*found 0"),
        (("RUN", "--tasks", "sciq", "--executor", "slurm"), ConfigError, r"executor\.kind: .*inline"),
        (("fffff", "--tasks", "sciq"), StoreError, "run 'fffff' is not in"),
        (("nowhere/at/all", "--tasks", "sciq"), DataError, "expected a run's id, a folder"),
        (("RUN", "--tasks", "sciq", "--data", "empty"), DataError, "its tokenizer is not the one of|cannot be read"),
    ],
)
def test_a_mistake_gives_one_line_before_anything_is_scored(
    mixopt: Callable[..., Result],
    run_id: str,
    tmp_path: Path,
    asked: list[tuple[str, int, EvalRuntime]],
    words: tuple[str, ...],
    kind: type[MixoptError],
    line: str,
) -> None:
    (tmp_path / "empty").mkdir()
    given = [run_id if word == "RUN" else word for word in words]
    flags = () if "--executor" in given else INLINE
    with pytest.raises(kind, match=line) as caught:
        mixopt("eval", *given, *flags)
    assert "\n" not in str(caught.value)
    assert not asked


def test_a_model_that_was_not_kept_says_how_to_train_it_again(
    mixopt: Callable[..., Result], run_id: str, asked: list[tuple[str, int, EvalRuntime]]
) -> None:
    shutil.rmtree(f"results/checkpoints/{run_id}")
    with pytest.raises(StoreError, match=rf"was not kept; `mixopt runs rm {run_id[:8]}`, then `mixopt ddo` again"):
        mixopt("eval", run_id, "--tasks", "sciq", *INLINE)


def test_the_list_of_tasks(mixopt: Callable[..., Result], asked: list[tuple[str, int, EvalRuntime]]) -> None:
    listed = mixopt("eval", "--tasks", "list").stdout
    assert "ADO (Jiang et al. 2024)" in listed
    assert "pubmedqa@10" in listed
    assert "lm-eval: 2 tasks, 0 groups, 0 tags" in listed
    assert mixopt("eval", "SCI", "--tasks", "list").stdout == "sciq  task\n"
    assert mixopt("eval", "zzz", "--tasks", "list").stdout == "lm-eval has no such name\n"
    told = json.loads(mixopt("eval", "--tasks", "list", "--json").stdout)
    assert told["lm_eval"] == {"gone": "task", "sciq": "task"}
    assert set(told["presets"]) == {"ado", "autoscale"}
