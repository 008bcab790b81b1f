"""Downstream scores in the results table: kept, replaced, exported, removed, and absent from older tables."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.role import Role
from mixopt.score import Score
from mixopt.store import Store, export_runs, import_runs
from mixopt.store.schema import SCHEMA_VERSION
from tests.execute.trainers import law, make_spec

if TYPE_CHECKING:
    from pathlib import Path

ACC = Score(
    task="sciq", metric="acc", value=0.31, standard_error=0.02, items=500, identity="0" * 16, main=True, chance=0.25
)
NORM = replace(ACC, metric="acc_norm", value=0.29, main=False)
TUNED = Score(task="glue_cola", metric="mcc", value=-0.1, standard_error=None, items=9, identity="1" * 16, seed=2)


def test_scores_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.scores.record("run", [ACC, NORM, TUNED], source="/models/a")
        store.scores.record("other", [NORM], source="/models/b")
        assert store.scores.of(["run"]) == {"run": [TUNED, ACC, NORM]}
        assert store.scores.of() == {"other": [NORM], "run": [TUNED, ACC, NORM]}
        assert store.scores.of(["nobody"]) == {}
        assert store.scores.sources() == {"run": "/models/a", "other": "/models/b"}
    with Store(tmp_path, read_only=True) as store:
        assert store.scores.of(["other"]) == {"other": [NORM]}


def test_the_same_task_again_replaces_its_score_and_other_settings_do_not(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.scores.record("run", [ACC], source="a")
        store.scores.record("run", [replace(ACC, value=0.4), replace(ACC, identity="2" * 16, shots=5)], source="a")
        assert [(score.value, score.shots) for score in store.scores.of()["run"]] == [(0.4, 0), (0.31, 5)]


@settings(max_examples=12, deadline=None)
@given(
    value=st.floats(allow_nan=False),
    error=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**31),
    flags=st.tuples(st.booleans(), st.booleans()),
    name=st.text(min_size=1).filter(lambda text: text.isprintable()),
)
def test_any_score_survives_the_table(
    tmp_path_factory: pytest.TempPathFactory,
    value: float,
    error: float | None,
    seed: int | None,
    flags: tuple[bool, bool],
    name: str,
) -> None:
    score = replace(
        ACC, task=name, value=value, standard_error=error, seed=seed, main=flags[0], higher_is_better=flags[1]
    )
    with Store(tmp_path_factory.mktemp("scores")) as store:
        store.scores.record("run", [score], source="a")
        assert store.scores.of() == {"run": [score]}


def test_export_and_import_keep_the_scores_of_runs_and_removal_takes_them(tmp_path: Path) -> None:
    spec = make_spec()
    with Store(tmp_path / "here") as store:
        store.record(spec, law(spec, None))  # type: ignore[arg-type]
        store.scores.record(spec.run_id, [ACC, NORM], source="a")
        store.scores.record("f" * 16, [ACC], source="a checkpoint from elsewhere")
        export_runs(store, tmp_path / "runs.jsonl.gz")
        assert store.remove([spec.run_id]) == 1
        assert set(store.scores.of()) == {"f" * 16}
    with Store(tmp_path / "there") as store:
        assert import_runs(store, tmp_path / "runs.jsonl.gz") == 1
        assert store.scores.of() == {spec.run_id: [ACC, NORM]}
        assert store.scores.sources() == {spec.run_id: "a"}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A table as the version before scores left it, with one run."""
    spec = make_spec()
    with Store(tmp_path) as store:
        store.record(spec, law(spec, None))  # type: ignore[arg-type]
    connection = sqlite3.connect(tmp_path / "mixopt.db")
    connection.executescript("DROP TABLE scores; PRAGMA user_version = 1;")
    connection.close()
    return tmp_path


def test_an_older_table_is_read_without_scores_and_left_as_it_is(older: Path) -> None:
    before = (older / "mixopt.db").read_bytes()
    with Store(older, read_only=True) as store:
        assert store.scores.of() == {}
        assert store.scores.sources() == {}
        assert len(store.rows()) == 1
    assert (older / "mixopt.db").read_bytes() == before


def test_an_older_table_gets_scores_when_it_is_written(older: Path) -> None:
    with Store(older) as store:
        assert len(store.rows()) == 1
        store.scores.record(make_spec().run_id, [ACC], source="a")
        assert store.scores.of() == {make_spec().run_id: [ACC]}
    connection = sqlite3.connect(older / "mixopt.db")
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()


def test_roles_of_an_older_table_keep_their_words_and_are_told_apart(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.save_study("abc", "ddo", {}, [])
    connection = sqlite3.connect(tmp_path / "mixopt.db")
    connection.executescript("ALTER TABLE study_runs DROP COLUMN kind; ALTER TABLE study_runs DROP COLUMN name;")
    told = ("base", "code x3", "verify my own")
    connection.executemany("INSERT INTO study_runs VALUES ('abc', ?, ?)", [(role[0], role) for role in told])
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    with Store(tmp_path, read_only=True) as store:
        assert [str(role) for _, role in store.studies()[0]["runs"]] == list(told)
    with Store(tmp_path) as store:
        roles = [role for _, role in store.studies()[0]["runs"]]
    assert roles == [Role("base"), Role("", "", "code x3"), Role("verify", "my own")]
