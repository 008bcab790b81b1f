"""Fine-tuning from a checkpoint to scores: learning, seeds, and errors that leave the other tasks alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixopt.errors import DataError
from mixopt.evaluate import harness_setup
from mixopt.evaluation import EvalRuntime
from mixopt.models.build import build_model
from mixopt.presets import model_spec
from mixopt.train.checkpoint import save_final
from mixopt_finetune import suite
from tests.mixopt_finetune.tiny import filler, order_row, resolve, save_bert, write_rows, write_task

CPU = EvalRuntime(device="cpu")


def score(checkpoint, tasks, runtime=CPU):
    outcomes = suite.score(checkpoint, tasks, runtime)
    assert [outcome.task for outcome in outcomes] == [task.name for task in tasks]
    return outcomes


def main(outcome):
    assert outcome.error is None, outcome.error
    (found,) = [one for one in outcome.scores if one.main]
    return found


def test_a_tiny_model_learns_which_sentence_says_what(bert, task_data):
    """The label depends on both sentences and not on their words together: segments or places have to be used."""
    tasks = resolve(["glue_rte"], task_data, epochs=8, learning_rate=1e-4)
    accuracy = main(*score(bert, tasks))
    assert (accuracy.metric, accuracy.items, accuracy.seed) == ("acc", 64, 0)
    assert accuracy.identity == tasks[0].identity
    assert accuracy.chance == pytest.approx(0.5, abs=0.15)
    assert accuracy.value > accuracy.chance + 0.25


def test_a_tiny_model_learns_which_span_is_the_answer(bert, task_data):
    f1 = main(*score(bert, resolve(["squad"], task_data, epochs=8, learning_rate=2e-4)))
    assert (f1.metric, f1.items) == ("f1", 48)
    # A guess among ten words.
    assert f1.value > 0.6
    assert f1.standard_error < 0.08


@pytest.fixture(scope="module")
def quick(task_data):
    """Both kinds of task, two seeds, few steps."""
    return resolve(["glue_rte", "squad"], task_data, seeds=2, limit=40, epochs=2)


@pytest.fixture(scope="module")
def outcomes(bert, quick):
    return score(bert, quick)


def test_the_same_seed_scores_the_same_and_another_does_not(bert, quick, outcomes):
    again = score(bert, quick[::-1])[::-1]
    assert [one.scores for one in again] == [one.scores for one in outcomes]
    spans = [outcome.scores for outcome in outcomes if outcome.task == "squad"]
    assert [one[0].seed for one in spans] == [0, 1]
    assert spans[0][0].value != spans[1][0].value


def test_another_checkpoint_scores_another_number(data_dir, tmp_path, quick, outcomes):
    other = score(save_bert(tmp_path, data_dir, seed=1), quick[2:])
    assert all(ours.scores[0].value != theirs.scores[0].value for ours, theirs in zip(other, outcomes[2:], strict=True))


def test_the_size_of_a_pass_changes_nothing(bert, quick, outcomes):
    small = score(bert, quick[2:3], replace(CPU, batch_size=3))
    assert [one.value for one in small[0].scores] == pytest.approx([one.value for one in outcomes[2].scores])


def similarity_row(rng):
    return {"sentence1": filler(rng), "sentence2": filler(rng), "label": rng.uniform(0, 5)}


def test_tasks_with_two_metrics_or_two_splits_have_their_mean_as_main(bert, tmp_path):
    write_task(tmp_path / "glue/mrpc", order_row, 16, 16)
    write_task(tmp_path / "glue/stsb", similarity_row, 16, 16)
    rows = [{"premise": "la", "hypothesis": "ho", "label": label % 3} for label in range(12)]
    for split in ("train", "validation_matched", "validation_mismatched"):
        write_rows(tmp_path / f"glue/mnli/{split}.jsonl", rows)
    found = score(bert, resolve(["glue_mrpc", "glue_stsb", "glue_mnli"], tmp_path, epochs=1))
    names = [[one.metric for one in outcome.scores] for outcome in found]
    assert names == [
        ["average", "f1", "acc"],
        ["average", "pearson", "spearman"],
        ["average", "acc_matched", "acc_mismatched"],
    ]
    for outcome in found:
        average, first, second = outcome.scores
        assert average.value == pytest.approx((first.value + second.value) / 2)
        assert [one.main for one in outcome.scores] == [True, False, False]
    assert found[2].scores[0].value == pytest.approx(1 / 3)
    assert found[2].scores[0].items == 24


def test_a_task_that_cannot_be_had_says_so_and_the_others_go_on(bert, task_data, monkeypatch):
    monkeypatch.setattr(harness_setup, "unreachable", lambda: "Name or service not known")
    tasks = resolve(["glue_cola", "glue_rte"], task_data, limit=16, epochs=1)
    lost, found = score(bert, tasks)
    assert lost.scores == ()
    assert "glue_cola: nyu-mll/glue cannot be had from the hub (Name or service not known)" in lost.error
    assert main(found).items == 16


def test_a_causal_model_is_refused(data_dir, tmp_path, task_data):
    spec = model_spec("gpt2-0.2m", 300, width=32, layers=1)
    save_final(tmp_path, build_model(spec, 0), data_dir / "tokenizer")
    with pytest.raises(DataError, match="masked model, found a gpt2"):
        score(tmp_path / "final", resolve(["squad"], task_data))


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path, task_data):
    with pytest.raises(DataError, match="no checkpoint"):
        score(tmp_path, resolve(["squad"], task_data))
