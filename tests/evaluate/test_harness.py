"""Scores are lm-eval's own, whatever cannot be had says so, and nothing is left behind.

lm-eval's import takes seconds, so that all tests that need it are here.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.evaluate import harness_setup, tasks_index
from mixopt.evaluate.harness import score
from mixopt.evaluate.tasks import presets, resolve
from mixopt.evaluation import EvalRuntime, EvalTask, Outcome
from mixopt.models.build import build_model
from tests.trained import write_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixopt.result import RunResult
    from mixopt.score import Score
    from mixopt.spec import RunSpec

RUNTIME = EvalRuntime(device="cpu", batch_size=8)


def scored(checkpoint: Path, tasks: list[EvalTask], runtime: EvalRuntime = RUNTIME) -> list[Outcome]:
    return score(checkpoint, tasks, runtime)


def by_metric(outcome: Outcome) -> dict[str, Score]:
    assert outcome.error is None, outcome.error
    return {found.metric: found for found in outcome.scores}


@pytest.fixture(scope="module")
def by_hand(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`lm_eval.simple_evaluate` on the same checkpoint and task files, as its users call it."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    folder = write_tasks(tmp_path_factory.mktemp("hand") / "made", absolute=True)

    def run(task: str, shots: int | None = None, limit: int | None = None) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch, harness_setup.quiet():
            patch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)  # seconds of pip and lscpu
            patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "cache")
            found = lm_eval.simple_evaluate(
                model="hf",
                model_args={"pretrained": str(checkpoint), "dtype": "float32"},
                tasks=[task],
                task_manager=TaskManager(include_path=str(folder), include_defaults=False),
                num_fewshot=shots,
                limit=limit,
                batch_size=8,
                device="cpu",
                bootstrap_iters=1000,
            )
        assert found is not None
        return dict(found["results"][task])

    return run


@pytest.mark.parametrize(("shots", "limit"), [(None, None), (2, 10)])
def test_choices_score_as_by_hand(
    checkpoint: Path, task_folder: Path, by_hand: Any, shots: int | None, limit: int | None
) -> None:
    tasks = resolve([f"{task_folder}/made_choices.yaml"], "causal", data_dir=None, shots=shots, limit=limit)
    found = by_metric(scored(checkpoint, tasks)[0])
    expected = by_hand("made_choices", shots, limit)
    for metric in ("acc", "acc_norm"):
        assert found[metric].value == expected[f"{metric},none"]
        assert found[metric].standard_error == expected[f"{metric}_stderr,none"]
        assert found[metric].items == expected["sample_len"] == (limit or 16)
        assert found[metric].shots == (shots or 0)
        assert found[metric].chance == 0.25
    assert [found["acc"].main, found["acc_norm"].main] == [True, False]
    assert found["acc"].identity == tasks[0].identity


def test_rolling_likelihood_scores_as_by_hand_and_as_the_model_itself(
    checkpoint: Path, task_folder: Path, by_hand: Any
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tasks = resolve([f"{task_folder}/made_texts.yaml"], "causal", data_dir=None)
    [found] = scored(checkpoint, tasks)[0].scores
    assert found.value == by_hand("made_texts")["bits_per_byte,none"]
    assert (found.main, found.higher_is_better, found.chance) == (True, False, None)
    # By definition: all tokens' negative log-likelihood, each text after an end-of-text token, over its bytes.
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    nats, size = 0.0, 0
    for line in (task_folder / "texts.jsonl").read_text().splitlines():
        text = json.loads(line)["text"]
        ids = torch.tensor([[tokenizer.eos_token_id, *tokenizer.encode(text)]])
        with torch.no_grad():
            nats += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
        size += len(text.encode())
    assert found.value == pytest.approx(nats / size / math.log(2), rel=1e-5)


def test_the_batch_size_changes_rounding_at_most(checkpoint: Path, task_folder: Path) -> None:
    tasks = resolve([f"{task_folder}/made_texts.yaml"], "causal", data_dir=None)
    [one] = scored(checkpoint, tasks, EvalRuntime(device="cpu", batch_size=1))[0].scores
    [chosen] = scored(checkpoint, tasks, EvalRuntime(device="cpu"))[0].scores
    assert one.value == pytest.approx(chosen.value, rel=1e-6)


def test_what_cannot_be_had_says_so_and_the_others_go_on(
    checkpoint: Path, task_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_setup, "unreachable", lambda: "no network")
    monkeypatch.setattr(
        tasks_index, "lm_eval_tasks", lambda: {"sciq": tasks_index.Entry(kind="task", path="sciq/sciq.yaml")}
    )
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    folder = write_tasks(tmp_path / "tasks", items=4)
    (folder / "helpers.py").write_text("def none(docs):\n    return docs.select([])\n")
    (folder / "bare.yaml").write_text("include: made_texts.yaml\ntask: bare\nprocess_docs: !function helpers.none\n")
    tasks = resolve(["sciq", str(folder / "bare.yaml"), f"{task_folder}/made_texts.yaml"], "causal", data_dir=None)
    missing, broken, had = scored(checkpoint, tasks)
    assert "the Hugging Face hub does not answer" in (missing.error or "")
    assert (broken.error or "").startswith("lm-eval: ")
    assert not missing.scores
    assert had.scores
    assert not any("\n" in (outcome.error or "") for outcome in (missing, broken))


def test_a_model_that_diverged_has_no_score(checkpoint: Path, task_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    save_file(
        {name: tensor * math.nan for name, tensor in weights.items()}, broken / "model.safetensors", {"format": "pt"}
    )
    [outcome] = scored(broken, resolve([f"{task_folder}/made_texts.yaml"], "causal", data_dir=None))
    assert outcome.error == "none of its metrics is a finite number; is the model's loss finite?"


def test_weights_that_cannot_be_read_end_it_in_one_line(checkpoint: Path, task_folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:100])
    tasks = resolve([f"{task_folder}/made_texts.yaml"], "causal", data_dir=None)
    with pytest.raises(DataError, match=r"broken: .*SafetensorError") as caught:
        scored(broken, tasks)
    assert "\n" not in str(caught.value)


def test_a_full_device_says_what_to_do(checkpoint: Path, task_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")

    monkeypatch.setattr("lm_eval.models.huggingface.HFLM.loglikelihood", full)
    choices, texts = scored(checkpoint, resolve([str(task_folder)], "causal", data_dir=None))
    assert choices.error == "the device's memory is full; use a smaller --batch-size"
    assert texts.scores


def test_it_says_nothing_and_leaves_nothing_behind(
    checkpoint: Path,
    task_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import lm_eval.api.model
    import tqdm

    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache)
    random.seed(3)
    np.random.seed(4)  # noqa: NPY002
    scored(checkpoint, resolve([str(task_folder)], "causal", data_dir=None))
    after = random.random(), np.random.random()  # noqa: NPY002
    random.seed(3)
    np.random.seed(4)  # noqa: NPY002
    assert after == (random.random(), np.random.random())  # noqa: NPY002
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert lm_eval.api.model.tqdm is tqdm.tqdm


@pytest.fixture
def lm_eval_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of lm-eval tasks as the index reads them, and a cache of its own."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    monkeypatch.setattr(tasks_index, "tasks_folder", lambda: folder)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    tasks_index.lm_eval_tasks.cache_clear()
    yield folder
    tasks_index.lm_eval_tasks.cache_clear()


def test_every_preset_names_tasks_that_lm_eval_has(lm_eval_folder: Path) -> None:
    installed = Path(next(iter(__import__("lm_eval").__path__))) / "tasks"
    for name in (
        "hellaswag", "winogrande", "piqa", "arc", "sciq", "logiqa2", "lambada", "super_glue", "truthfulqa",
        "pubmedqa", "crows_pairs", "bigbench", "mmlu/default",
    ):  # fmt: skip
        shutil.copytree(installed / name, lm_eval_folder / name)
    known = tasks_index.lm_eval_tasks()
    for preset in presets().values():
        assert [known[name.partition("@")[0]].kind for name in preset.tasks] == ["task"] * len(preset.tasks)
    assert resolve(["ado", "autoscale"], "causal", data_dir=None)
    assert known["truthfulqa_mc2"].shots == 0
    assert known["ai2_arc"] == tasks_index.Entry(kind="tag", members=("arc_challenge", "arc_easy"))
    assert known["mmlu"].aggregates
    assert tasks_index.folders_of("mmlu") == [lm_eval_folder / "mmlu/default"]
    assert "mmlu_anatomy" in known["mmlu_stem"].members or "mmlu_anatomy" in known["mmlu_stem_tasks"].members


def test_the_index_is_kept_for_its_version_and_made_again_for_another(
    lm_eval_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tasks(lm_eval_folder, items=2)
    assert set(tasks_index.lm_eval_tasks()) == {"made_choices", "made_texts"}
    (lm_eval_folder / "made_texts.yaml").unlink()
    tasks_index.lm_eval_tasks.cache_clear()
    assert set(tasks_index.lm_eval_tasks()) == {"made_choices", "made_texts"}
    monkeypatch.setattr(tasks_index, "version", lambda _: "99")
    tasks_index.lm_eval_tasks.cache_clear()
    assert set(tasks_index.lm_eval_tasks()) == {"made_choices"}


def test_a_group_of_lm_eval_has_the_mean_of_its_tasks(
    checkpoint: Path, lm_eval_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_setup, "unreachable", lambda: "no network")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", lm_eval_folder.parent / "datasets")
    for name, items in (("small", 4), ("large", 12)):
        folder = write_tasks(lm_eval_folder / name, items=items, absolute=True)
        text = (folder / "made_choices.yaml").read_text().replace("made_choices", f"made_{name}")
        (folder / "made_choices.yaml").write_text(text)
        (folder / "made_texts.yaml").unlink()
    members = ["made_small", "made_large"]
    group = {"group": "made", "task": members, "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}]}
    (lm_eval_folder / "made.yaml").write_text(json.dumps(group))  # JSON is YAML
    tasks = resolve(["made", *members], "causal", data_dir=None)
    both, small, large = (by_metric(outcome) for outcome in scored(checkpoint, tasks))
    assert set(both) == {"acc"}
    assert both["acc"].value == pytest.approx((4 * small["acc"].value + 12 * large["acc"].value) / 16)
    assert (both["acc"].items, both["acc"].chance, both["acc"].main) == (16, 0.25, True)


def test_the_offline_suite_is_scored_with_its_main_metrics_and_chance(checkpoint: Path, data_dir: Path) -> None:
    names = ["offline_continuation_words", "offline_cloze_chant", "offline_brackets"]
    outcomes = scored(checkpoint, resolve(names, "causal", data_dir=data_dir, limit=8))
    found = {outcome.task: by_metric(outcome) for outcome in outcomes}
    main = {task: next(score for score in scores.values() if score.main) for task, scores in found.items()}
    assert [score.metric for score in main.values()] == ["acc_mutual_info", "acc", "acc"]
    assert [score.chance for score in main.values()] == [0.25, 0.0, 0.25]
    assert [score.items for score in main.values()] == [8, 8, 8]
    assert found["offline_cloze_chant"]["perplexity"].higher_is_better is False


def test_an_untrained_model_scores_chance(
    kept_run: tuple[RunSpec, RunResult, Path], data_dir: Path, tmp_path: Path
) -> None:
    spec, _, trained = kept_run
    fresh = shutil.copytree(trained, tmp_path / "fresh")
    build_model(spec.model, seed=1).save_pretrained(fresh)
    outcomes = scored(fresh, resolve(["offline"], "causal", data_dir=data_dir), EvalRuntime(device="cpu"))
    measured = [found for outcome in outcomes for found in by_metric(outcome).values()]
    assert {found.chance for found in measured} == {0.25, 0.0, None}
    for found in measured:
        if found.chance == 0.25:
            assert abs(found.value - 0.25) <= 3 * math.sqrt(0.25 * 0.75 / found.items), found
        elif found.chance == 0.0:
            assert found.value <= 0.1, found


def test_prompts_of_bigbench_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = {"input": "Which?", "target_scores": {"this": 0, "that": 1, "both": 1}}
    content = {"examples": [example, {**example, "input": "What?"}], "task_prefix": "Say {{it}}.\n"}
    place = tmp_path / "bigbench" / "benchmark_tasks" / "physics"
    place.mkdir(parents=True)
    (place / "task.json").write_text(json.dumps({**content, "append_choices_to_input": False}))
    monkeypatch.syspath_prepend(tmp_path)
    [task] = resolve(["bigbench_physics"], "causal", data_dir=None, shots=1)
    with harness_setup.quiet():
        [loaded] = harness_setup.load_task(task, tmp_path / "loaded")["tasks"].values()
        loaded.set_config(key="num_fewshot", value=1)
        loaded.set_fewshot_seed(seed=1234)
        loaded.build_all_requests()
    first, *_ = loaded.instances
    assert first.args == ("Say {{it}}.\n\nQ: What?\nA: that\n\nQ: Which?\nA: ", "this")
