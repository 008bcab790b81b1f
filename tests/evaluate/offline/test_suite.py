"""Tasks are made of held-out documents alone, offer no short cuts, and are the same wherever they are made."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mixopt.data.manifest import Manifest
from mixopt.data.tokenizer import load_tokenizer
from mixopt.data.tokens import TokenData
from mixopt.errors import ConfigError, DataError
from mixopt.evaluate import offline
from mixopt.evaluate.offline.documents import MAX_TOKENS, HeldOut

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.evaluate.offline.documents import Passage
    from mixopt.evaluation import EvalTask


def rows(task: EvalTask) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dict(task.files)[f"{task.name}.jsonl"].splitlines()]


def config(task: EvalTask) -> dict[str, Any]:
    return yaml.safe_load(dict(task.files)[f"{task.name}.yaml"])


def forget() -> None:
    """Make the next call build its tasks anew."""
    offline._domain_task.cache_clear()
    offline._generated.cache_clear()
    offline._held_out.cache_clear()


@pytest.fixture(scope="module")
def suite(data_dir: Path) -> dict[str, EvalTask]:
    return {task.name: task for task in offline.tasks(["offline"], data_dir)}


@pytest.fixture(scope="module")
def texts(data_dir: Path) -> dict[str, dict[str, list[str]]]:
    """The documents of each split of each domain."""
    tokenizer = load_tokenizer(str(data_dir / "tokenizer" / "tokenizer.json"))
    data = TokenData.open(data_dir)
    end = data.manifest.eot_id

    def read(tokens: Any) -> list[str]:
        documents: list[list[int]] = [[]]
        for token in tokens.tolist():
            if token == end:
                documents.append([])
            else:
                documents[-1].append(token)
        return [tokenizer.decode(document) for document in documents if document]

    return {
        split: {
            name: read(tokens) for name, tokens in zip(data.manifest.domain_names, getattr(data, split), strict=True)
        }
        for split in ("train", "validation")
    }


def passages_of(task: EvalTask) -> list[str]:
    """Each item's passage with its true answer."""
    return [row["context"] + (row.get("word") or row["endings"][row["gold"]]) for row in rows(task)]


def test_the_suite_has_both_tasks_of_each_domain_that_gives_items(suite: dict[str, EvalTask], data_dir: Path) -> None:
    assert set(suite) == set(offline.names(data_dir)) - {"offline_cloze_arithmetic", "offline_cloze_words"}
    assert [name for name in suite if name.startswith("offline_continuation_")] == [
        f"offline_continuation_{domain}" for domain in ("chant", "arithmetic", "words")
    ]
    assert all(task.kind == "harness" for task in suite.values())


def test_every_passage_is_held_out_text_and_no_training_text(
    suite: dict[str, EvalTask], texts: dict[str, dict[str, list[str]]]
) -> None:
    checked = 0
    for name, task in suite.items():
        domain = name.rpartition("_")[2]
        if domain not in texts["validation"] or name in ("offline_brackets", "offline_arithmetic"):
            continue
        for passage in passages_of(task):
            assert any(passage in document for document in texts["validation"][domain])
            assert not any(passage in document for of in texts["train"].values() for document in of)
            checked += 1
    assert checked > 40


def test_passages_are_distinct_and_do_not_overlap(
    data_dir: Path, texts: dict[str, dict[str, list[str]]], suite: dict[str, EvalTask]
) -> None:
    held_out = HeldOut(data_dir)
    found: list[Passage] = [passage for part in held_out.passages("words", random.Random(0)) for passage in part]
    assert len(found) > len(texts["validation"]["words"])  # documents have room for several
    used: dict[int, list[tuple[int, int]]] = {}
    for passage in found:
        text = passage.text(0, None)
        document = texts["validation"]["words"][passage.document]
        start = document.index(text)  # random words: each passage occurs once
        assert document[start - 1 : start] in ("", " ")
        used.setdefault(passage.document, []).append((start, start + len(text)))
    for places in used.values():
        places.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(places))
    for task in suite.values():
        keys = [row["context"] for row in rows(task)]
        assert len(set(keys)) == len(keys)


def test_prompts_fit_the_shortest_training_sequences_and_are_tokenised_apart_as_together(
    suite: dict[str, EvalTask], data_dir: Path
) -> None:
    tokenizer = load_tokenizer(str(data_dir / "tokenizer" / "tokenizer.json"))
    for task in suite.values():
        for row in rows(task):
            for answer in row.get("endings", [row.get("word")]):
                prompt, whole = (ids.tolist() for ids in tokenizer.encode([row["context"], row["context"] + answer]))
                assert len(whole) <= MAX_TOKENS
                assert whole[: len(prompt)] == prompt
                assert prompt


def test_endings_have_the_same_number_of_tokens(suite: dict[str, EvalTask], data_dir: Path) -> None:
    tokenizer = load_tokenizer(str(data_dir / "tokenizer" / "tokenizer.json"))
    for domain in ("chant", "arithmetic", "words"):
        for row in rows(suite[f"offline_continuation_{domain}"]):
            assert {len(ids) for ids in tokenizer.encode(row["endings"])} == {16}
            assert all(ending.startswith(" ") for ending in row["endings"])
            assert len(set(row["endings"])) == 4


def test_right_answers_stand_at_each_place_equally_often(suite: dict[str, EvalTask]) -> None:
    for name in ("offline_continuation_words", "offline_brackets", "offline_arithmetic"):
        found = rows(suite[name])
        assert Counter(row["gold"] for row in found) == dict.fromkeys(range(4), len(found) // 4)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("name", ["offline_continuation_arithmetic", "offline_brackets", "offline_arithmetic"])
def test_whoever_ignores_the_context_scores_exactly_one_in_four(
    suite: dict[str, EvalTask], name: str, normalised: bool
) -> None:
    found = rows(suite[name])
    for taste in range(5):

        def likes(ending: str) -> float:
            score = random.Random(f"{taste}{ending}").gauss(-10 * len(ending), 5)  # noqa: B023 (used at once)
            return score / len(ending) if normalised else score

        right = sum(max(row["endings"], key=likes) == row["endings"][row["gold"]] for row in found)
        assert right == len(found) / 4


def test_a_cloze_asks_for_a_word_that_the_passage_has_before(suite: dict[str, EvalTask]) -> None:
    found = rows(suite["offline_cloze_chant"])
    assert found
    for row in found:
        assert row["word"][0] == " "
        assert len(row["word"]) > 3
        assert row["word"][1:] in row["context"].replace("\n", " ").split(" ")


def test_the_same_data_and_seed_give_the_same_bytes_wherever_the_folder_lies(
    suite: dict[str, EvalTask], data_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(data_dir, tmp_path / "moved")
    forget()
    again = {task.name: task for task in offline.tasks(["offline"], tmp_path / "moved")}
    assert {name: task.files for name, task in again.items()} == {name: task.files for name, task in suite.items()}
    assert [task.identity for task in again.values()] == [task.identity for task in suite.values()]
    other = {task.name: task for task in offline.tasks(["offline"], data_dir, seed=1)}
    assert not set(map(tuple, map(passages_of, other.values()))) & set(map(tuple, map(passages_of, suite.values())))


def test_limits_are_settings_and_not_other_items(data_dir: Path) -> None:
    whole, part = (offline.tasks(["offline_brackets"], data_dir, limit=limit)[0] for limit in (None, 8))
    assert whole.files == part.files
    assert part.settings == {"shots": 0, "limit": 8}
    assert whole.identity != part.identity


def test_generated_tasks_need_no_data() -> None:
    [brackets] = offline.tasks(["offline_brackets"], None)
    assert len(rows(brackets)) == offline.ITEMS


def test_main_metrics_and_chance_are_stated(suite: dict[str, EvalTask]) -> None:
    assert config(suite["offline_continuation_words"])["metadata"]["main"] == "acc_mutual_info"
    assert config(suite["offline_brackets"])["metadata"]["main"] == "acc"
    assert config(suite["offline_cloze_chant"])["metadata"] == {"version": 1.0, "main": "acc", "chance": 0.0}


def with_domain_names(data_dir: Path, folder: Path, *names: str) -> Path:
    shutil.copytree(data_dir, folder)
    content = json.loads((folder / "manifest.json").read_text())
    for entry, name in zip(content["domains"], names, strict=True):
        entry["name"] = name
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def test_any_domain_name_gives_a_task_name(data_dir: Path, tmp_path: Path) -> None:
    folder = with_domain_names(data_dir, tmp_path / "data", "Wikipedia (en)", "Wikipedia, en", "c++")
    assert offline.names(folder)[:3] == [
        "offline_continuation_Wikipedia_en", "offline_continuation_Wikipedia_en_2", "offline_continuation_c",
    ]  # fmt: skip
    [task] = offline.tasks(["offline_continuation_Wikipedia_en_2"], folder)
    assert "=" in passages_of(task)[0]


def test_a_domain_without_held_out_text_is_named(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_dir, folder)
    manifest = Manifest.load(folder)
    content = json.loads((folder / "manifest.json").read_text())
    split = content["domains"][1]["validation"]
    (folder / split["file"]).write_bytes(b"")
    hash_of_nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    split.update(tokens=0, documents=0, bytes=0, hash=hash_of_nothing)
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"has no items.*'arithmetic' 0.*--validation-share"):
        offline.tasks(["offline_continuation_arithmetic"], folder)
    found = [task.name for task in offline.tasks(["offline_continuation"], folder)]
    assert found == ["offline_continuation_chant", "offline_continuation_words"]
    assert manifest.domains[1].validation.tokens > 0


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["offline_cloze_chants"], {}, r"'offline_cloze_chants'.*nearest: offline_cloze_chant"),
        (["offline_braces"], {}, "nearest: offline_brackets"),
        (["offline_brackets"], {"shots": 5}, "expected 0 shots, found 5"),
    ],
)
def test_mistakes_get_one_line(data_dir: Path, names: list[str], options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        offline.tasks(names, data_dir, **options)
    assert "\n" not in str(error.value)


def test_tasks_of_documents_need_data() -> None:
    with pytest.raises(ConfigError, match=r"offline_cloze: .*prepared data"):
        offline.tasks(["offline_cloze"], None)


def test_a_lost_tokenizer_is_told(data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir, tmp_path / "data")
    (tmp_path / "data" / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="the tokenizer is missing"):
        offline.tasks(["offline"], tmp_path / "data")
