"""What a comparison is between: words to mixtures and runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError, StoreError
from mixopt.role import Role
from mixopt.store import Store
from mixopt.study import Study
from mixopt.study.compare.compare import Question, compare
from mixopt.study.compare.contenders import Contender, default_contenders, group_runs, plan_mixtures, recorded
from tests.synthetic_runs import make_run, make_spec, power_law

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HALVES = {"code": 0.5, "law": 0.5}
MOSTLY = {"code": 0.8, "law": 0.2}
LAW = power_law(3.0, 60.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Three seeds of two mixtures, of which a study called one `doremi`."""
    with Store(tmp_path / "results") as opened:
        for weights in (HALVES, MOSTLY):
            for seed in range(3):
                opened.record(*make_run(make_spec(weights, seed), LAW))
        links = [(make_spec(MOSTLY, seed).run_id, Role("target", "doremi")) for seed in range(3)]
        opened.save_study("abc", "ddo", {}, links)
        yield opened


def ids(weights: dict[str, float]) -> list[str]:
    return [make_spec(weights, seed).run_id for seed in range(3)]


@pytest.mark.parametrize(
    ("word", "text", "label"),
    [
        ("uniform", "uniform", None),
        ("mine=natural", "natural", "mine"),
        ("best=ddo:3fa9", "ddo:3fa9", "best"),
        ("a=b=c", "b=c", "a"),
    ],
)
def test_words_may_be_named(word: str, text: str, label: str | None):
    assert Contender.parse(word) == Contender(text, label)


@pytest.mark.parametrize("word", ["=uniform", "mine=", " =x", "a\nb=x"])
def test_a_name_has_to_be_printable_and_to_name_something(word: str):
    with pytest.raises(ConfigError, match="NAME=MIXTURE or NAME=RUN"):
        Contender.parse(word)


def test_hexadecimal_digits_are_runs_unless_a_file_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert Contender("3fa9c0").is_run
    assert Contender("3FA9").is_run
    assert not Contender("c4").is_run
    assert not Contender("uniform").is_run
    (tmp_path / "beef").write_text("code: 1.0")
    assert not Contender("beef").is_run


def test_a_file_with_an_equals_sign_is_no_name(tmp_path: Path):
    path = tmp_path / "a=b.yaml"
    path.write_text("code: 1.0")
    assert Contender.parse(str(path)) == Contender(str(path))
    assert Contender(str(path)).name == "a=b"


def test_runs_of_one_mixture_go_together_under_the_name_that_the_table_knows(store: Store):
    words = [Contender(run[:10]) for run in (*ids(HALVES), *ids(MOSTLY))]
    groups = group_runs(words, store)
    assert {name: [spec.seed for spec, _ in runs] for name, runs in groups.items()} == {
        "uniform": [0, 1, 2],
        "doremi": [0, 1, 2],
    }


def test_labels_name_runs_and_keep_them_apart(store: Store):
    first, second, third = ids(MOSTLY)
    groups = group_runs([Contender(first, "a"), Contender(second, "a"), Contender(third, "b")], store)
    assert {name: len(runs) for name, runs in groups.items()} == {"a": 2, "b": 1}
    with pytest.raises(ConfigError, match="'a', differ in more than their seed"):
        group_runs([Contender(first, "a"), Contender(ids(HALVES)[0], "a")], store)


def test_two_groups_of_one_name_get_the_id_as_well(store: Store):
    longer = make_spec(HALVES, tokens=4_000_000)
    store.record(*make_run(longer, LAW))
    groups = group_runs([Contender(ids(HALVES)[0]), Contender(longer.run_id)], store)
    assert list(groups) == ["uniform", f"uniform {longer.run_id[:8]}"]


def test_a_run_that_nobody_named_is_called_by_its_role_or_id(store: Store):
    odd = make_spec({"code": 0.6, "law": 0.4})
    store.record(*make_run(odd, LAW))
    assert list(group_runs([Contender(odd.run_id)], store)) == [odd.run_id[:8]]
    store.save_study("def", "ddo", {}, [(odd.run_id, Role("perturbed", "code", "code x3"))])
    assert list(group_runs([Contender(odd.run_id)], store)) == ["code x3"]


def test_a_run_that_is_not_there_is_named(store: Store):
    with pytest.raises(StoreError, match="run '0000' is not in"):
        group_runs([Contender("0000")], store)


@pytest.fixture
def study(data_dir: Path, tmp_path: Path) -> Study:
    return Study(data_dir, model="gpt2-0.2m", tokens=4096, results=tmp_path / "results",
                 training={"batch_tokens": 1024, "max_epochs": 50})  # fmt: skip


def test_by_default_uniform_natural_and_the_newest_recommendations_of_this_data(study: Study, tmp_path: Path):
    with Store(tmp_path / "results") as store:

        def record(study_id: str, command: str, **config: object) -> None:
            content = {"fingerprint": study.manifest.fingerprint, "domains": list(study.domains), **config}
            store.save_study(study_id, command, content, [])
            folder = store.folder / "studies" / study_id
            folder.mkdir(parents=True)
            (folder / "recommendation.json").write_text("{}")

        record("old", "ddo")
        record("new", "ddo")
        record("scaled", "autoscale")
        record("elsewhere", "ddo", fingerprint="other")
        record("fewer", "ddo", domains=["chant"])
        found = [(one.name, one.text) for one in default_contenders(study, store)]
        assert found == [
            ("uniform", "uniform"), ("natural", "natural"), ("autoscale", "autoscale:scaled"), ("ddo", "ddo:new"),
        ]  # fmt: skip
        record(study.study_id, "ddo")
        record("newest", "ddo")
        assert ("ddo", f"ddo:{study.study_id}") in [(one.name, one.text) for one in default_contenders(study, store)]


def test_two_mixtures_of_one_name_are_refused(study: Study, tmp_path: Path):
    with Store(tmp_path / "results") as store, pytest.raises(ConfigError, match=r"called 'a'; .*NAME=natural"):
        plan_mixtures(study, [Contender("uniform", "a"), Contender("natural", "a")], 4096, [0], store)


def test_missing_runs_are_noted_or_refused(study: Study, tmp_path: Path):
    with Store(tmp_path / "results") as store:
        planned = plan_mixtures(study, [Contender("uniform"), Contender("natural")], 4096, [0, 1], store)
        store.record(*make_run(planned["uniform"][0].spec, LAW))
        notes: list[str] = []
        assert list(recorded(planned, store, notes)) == ["uniform"]
        assert notes == [
            "'uniform': the table has no run of seed 1 (--no-train)",
            "'natural': the table has no run of seed 0, 1 (--no-train)",
        ]
        with pytest.raises(ConfigError, match=r"'natural': none of its 2 runs .*--no-train"):
            recorded(planned, store, [], named={"natural"})


def test_runs_alone_need_no_data(store: Store, tmp_path: Path):
    bare = Study(tmp_path / "nowhere", results=store.folder)
    words = tuple(run for weights in (HALVES, MOSTLY) for run in ids(weights))
    found = compare(bare, Question(contenders=words, baselines=("doremi",)))
    assert found.baselines == ("doremi",)
    assert found.entries["uniform"].versus["doremi"].gain.value == 0
    by_run = compare(bare, Question(contenders=words, baselines=(ids(MOSTLY)[1][:8],)))
    assert by_run.baselines == ("doremi",)
    assert compare(bare, Question(contenders=words)).baselines == ("uniform",)


def test_a_baseline_that_is_not_there_is_named(store: Store, tmp_path: Path):
    bare = Study(tmp_path / "nowhere", results=store.folder)
    question = Question(contenders=(ids(HALVES)[0], ids(MOSTLY)[0]), baselines=("llama",))
    with pytest.raises(ConfigError, match=r"--baseline: .*found 'llama'"):
        compare(bare, question)


def test_no_seed_at_all_is_refused():
    with pytest.raises(ConfigError, match=r"--seeds: .*found 0"):
        Question(seeds=0)


def test_what_cannot_be_compared_is_refused_before_anything_is_trained(study: Study, tmp_path: Path):
    with Store(tmp_path / "results") as store:
        other = make_spec(dict.fromkeys(study.domains, 1 / 3), fingerprint="a" * 16)
        store.record(*make_run(other, LAW))
        before = json.dumps(store.rows())
    with pytest.raises(ConfigError, match="different data or tokenizers"):
        compare(study, Question(contenders=("natural", f"old={other.run_id}")))
    with Store(tmp_path / "results", read_only=True) as store:
        assert json.dumps(store.rows()) == before
