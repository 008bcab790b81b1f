"""From names and files to resolved tasks, and what is wrong with them told before anything is trained."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from mixopt.errors import ConfigError, DataError
from mixopt.evaluate import harness_setup
from mixopt_finetune import resolve, sources, suite
from mixopt_finetune.catalogue import TASKS
from mixopt_finetune.settings import FineTuning
from tests.mixopt_finetune.tiny import number_row, order_row, write_rows

RTE = {"sentence1": "la", "sentence2": "ho", "label": 1}


def tasks(names, data=None, limit=None, seeds=1):
    return suite.tasks(names, limit=limit, seeds=seeds, data=data)


def test_a_group_stands_for_its_tasks_and_each_seed_is_a_task_of_its_own():
    found = tasks(["glue", "glue_rte", "squad"], seeds=2)
    assert len(found) == 2 * (8 + 1)
    assert len({task.identity for task in found}) == len(found)
    assert {task.name for task in found} == {*suite.NAMES} - {"glue_wnli"}
    assert {task.kind for task in found} == {"finetune"}


def test_the_settings_are_the_papers():
    rates = {}
    for task in tasks(["glue", "squad"]):
        tuning = FineTuning.of(task.settings)
        assert (tuning.epochs, tuning.batch, tuning.length) == (3, 32, 128)
        rates[task.name] = tuning.rate(768)
    assert set(rates.values()) == {2e-5, 5e-5}
    assert rates["glue_mnli"] == 2e-5
    assert rates["squad"] == 5e-5


def test_a_narrow_model_takes_a_greater_rate_and_a_wide_one_the_same():
    tuning = FineTuning(learning_rate=5e-5)
    assert [tuning.rate(width) for width in (64, 768, 1024)] == pytest.approx([6e-4, 5e-5, 5e-5])


def test_small_files_travel_with_the_task_and_their_content_is_its_identity(task_data, tmp_path):
    (here,) = tasks(["glue_rte"], task_data)
    assert dict(here.files)["train.jsonl"] == (task_data / "glue/rte/train.jsonl").read_bytes()
    shutil.copytree(task_data, tmp_path / "elsewhere")
    (there,) = tasks(["glue_rte"], tmp_path / "elsewhere")
    assert there.identity == here.identity
    write_rows(tmp_path / "elsewhere/glue/rte/train.jsonl", [order_row(random.Random(n)) for n in range(20)])
    assert tasks(["glue_rte"], tmp_path / "elsewhere")[0].identity != here.identity
    (hub_task,) = tasks(["glue_rte"])
    assert not hub_task.files
    assert hub_task.identity != here.identity


def test_large_files_stay_where_they_are_and_have_to_be_the_same_there(task_data, tmp_path, monkeypatch):
    monkeypatch.setattr(resolve, "_LARGEST_SENT", 100)
    folder = tmp_path / "tasks"
    shutil.copytree(task_data, folder)
    (task,) = tasks(["squad"], folder)
    assert task.files == ()
    assert len(sources.read(task)["train"]) == 256
    (moved,) = tasks(["squad"], task_data)
    assert moved.identity == task.identity
    with pytest.raises(DataError, match="this node sees none"):
        sources.read(replace(task, folder=str(tmp_path / "other")))
    write_rows(folder / "squad/train.jsonl", [number_row(random.Random(1))])
    with pytest.raises(DataError, match="files have changed"):
        sources.read(task)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".json"])
def test_every_format_gives_the_same_examples(tmp_path, suffix):
    rows = [{**order_row(random.Random(seed)), "label": seed % 2} for seed in range(4)]
    rows[0]["sentence1"] = "quoted, and 12"
    path = tmp_path / f"train{suffix}"
    if suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif suffix == ".json":
        write_rows(path, rows)
    else:
        mark, quote = ("\t", "") if suffix == ".tsv" else (",", '"')
        lines = [mark.join(rows[0])] + [mark.join(f"{quote}{value}{quote}" for value in row.values()) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    content = path.read_bytes()
    found = sources.read_files({path.name: content, "validation.jsonl": _lines(rows)}, TASKS["glue_rte"], "here")
    assert found["train"].texts == found["validation"].texts
    assert found["train"].labels.tolist() == [0, 1, 0, 1]


def test_a_limit_chooses_the_same_examples_every_time(task_data):
    (task,) = tasks(["squad"], task_data, limit=5)
    examples = sources.read(task)["train"]
    first, again = examples.limited(5), examples.limited(5)
    assert first.texts == again.texts
    assert len(first) == len(first.answers) == 5
    assert [context.find(answer.texts[0]) for (_, context), answer in zip(first.texts, first.answers, strict=True)] == [
        answer.start for answer in first.answers
    ]
    assert examples.limited(10**6) is examples


def test_what_the_folder_lacks_is_the_hubs(task_data):
    found = {task.name: task for task in tasks(["glue", "squad"], task_data)}
    assert found["glue_rte"].files
    assert found["glue_cola"].settings["source"] == "nyu-mll/glue:cola"


def test_rows_of_the_hub_are_read_by_split(monkeypatch):
    import datasets

    rows = {"train": [RTE, {**RTE, "label": 0}], "validation": [{**RTE, "label": 0}, RTE], "test": []}
    asked = []
    monkeypatch.setattr(harness_setup, "unreachable", lambda: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *names: asked.append(names) or rows)
    (task,) = tasks(["glue_rte"])
    examples = sources.read(task)
    assert asked == [("nyu-mll/glue", "rte")]
    assert examples["validation"].labels.tolist() == [0, 1]


def test_without_a_network_it_says_so_at_once(monkeypatch, tmp_path):
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    (task,) = tasks(["glue_rte"])
    with pytest.raises(DataError) as error:
        sources.read(task)
    assert "glue_rte: nyu-mll/glue cannot be had from the hub (" in str(error.value)
    assert str(error.value).endswith("or give a folder with glue/rte/train.jsonl as --task-data")
    assert "\n" not in str(error.value)
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["glue_mprc"], {}, r"'glue_mprc'.*nearest: glue_mrpc"),
        (["zzz"], {}, "glue, squad, glue_cola"),
        (["glue"], {"limit": 0}, r"limit: .*found 0"),
        (["glue"], {"seeds": 0}, r"seeds: .*found 0"),
    ],
)
def test_bad_requests_are_one_line(names, options, message):
    with pytest.raises(ConfigError, match=message):
        tasks(names, **options)


def _lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


GOOD = _lines([RTE, {**RTE, "label": 0}])
SPAN = {"question": "q", "context": "la ho", "answers": {"text": ["ho"], "answer_start": [3]}}


@pytest.mark.parametrize(
    ("name", "train", "message"),
    [
        ("glue_rte", b"", r"train.jsonl: .*found none"),
        ("glue_rte", _lines([{"sentence1": "la", "label": 1}]), r"line 1: .*sentence2, label, found sent"),
        ("glue_rte", _lines([RTE, [1]]), r"line 2: .*found '?\[1\]"),
        ("glue_rte", _lines([{**RTE, "sentence1": None}]), r"line 1: sentence1: .*found None"),
        ("glue_rte", _lines([{**RTE, "label": -1}]), r"found -1 \(a hidden label"),
        ("glue_rte", _lines([{**RTE, "sentence1": "\ud800"}]), r"line 1: sentence1: .*surrogate"),
        ("glue_rte", _lines([{**RTE, "label": float("inf")}]), "0 to 1, found inf"),
        ("glue_rte", _lines([{**RTE, "label": 0.5}]), "0 to 1, found 0.5"),
        ("glue_rte", _lines([{**RTE, "label": "yes"}]), "0 to 1, found 'yes'"),
        ("glue_rte", _lines([RTE, RTE]), "several labels, found 1"),
        ("glue_rte", GOOD + b"{", r"line 3: .*found bad JSON"),
        ("glue_rte", b"\xff", "expected UTF-8"),
        ("glue_stsb", _lines([{**RTE, "label": 7}]), "0 to 5, found 7"),
        ("glue_stsb", _lines([{**RTE, "label": None}]), "0 to 5, found None"),
        ("squad", _lines([{**SPAN, "answers": {"text": []}}]), "`text` and `answer_start`"),
        ("squad", _lines([{**SPAN, "answers": "ho"}]), "`text` and `answer_start`"),
        (
            "squad",
            _lines([{**SPAN, "answers": {"text": ["ho"], "answer_start": [1]}}]),
            r"'ho' at character 1 .*found 'a '",
        ),
    ],
)
def test_bad_files_are_one_line_that_says_where(tmp_path, name, train, message):
    folder = tmp_path / TASKS[name].folder
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_bytes(train)
    (folder / "validation.jsonl").write_bytes(GOOD)
    with pytest.raises(DataError, match=message) as error:
        tasks([name], tmp_path)
    assert str(folder / "train.jsonl") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_the_tasks_or_with_half_of_one_is_refused(task_data, tmp_path):
    with pytest.raises(DataError, match=r"such as glue/cola/train\.jsonl, found none"):
        tasks(["glue_cola"], task_data)
    write_rows(tmp_path / "glue/mnli/train.jsonl", [{"premise": "la", "hypothesis": "ho", "label": 2}])
    with pytest.raises(DataError, match=r"validation_matched .*no such file"):
        tasks(["glue_mnli"], tmp_path)
    write_rows(tmp_path / "squad/train.json", [SPAN])
    write_rows(tmp_path / "squad/train.jsonl", [SPAN])
    with pytest.raises(DataError, match=r"found train\.jsonl, train\.json"):
        tasks(["squad"], tmp_path)


def test_a_damaged_parquet_file_is_one_line():
    with pytest.raises(DataError, match=r"here/train\.parquet: .*damaged"):
        sources.read_files({"train.parquet": b"PAR1", "validation.jsonl": GOOD}, TASKS["glue_rte"], "here")


def test_a_table_that_cannot_be_read_is_one_line():
    table = b'sentence1,sentence2,label\n"' + b"la " * 50_000 + b'",ho,1\n'
    with pytest.raises(DataError, match=r"here/train\.csv, line \d: .*field larger"):
        sources.read_files({"train.csv": table, "validation.jsonl": GOOD}, TASKS["glue_rte"], "here")


def test_names_are_resolved_without_torch_or_datasets():
    code = (
        "import sys; from mixopt_finetune import suite\n"
        "suite.tasks(['glue'], limit=None, seeds=1, data=None)\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pyarrow') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
