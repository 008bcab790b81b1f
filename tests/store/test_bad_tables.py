"""A table that cannot be used says so in one line, and nothing that is there is lost."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from mixopt.errors import StoreError
from mixopt.store import Store, curves, export_runs, import_runs
from mixopt.store.schema import prepare
from tests.execute.trainers import law, make_spec
from tests.store.test_store import WHERE, finished

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A folder with a table of 20 runs."""
    with Store(tmp_path / "results") as store:
        for seed in range(20):
            store.record(make_spec(seed=seed), finished(make_spec(seed=seed)))
    return tmp_path / "results"


def fill(store: Store) -> None:
    for seed in range(100, 200):
        store.record(make_spec(seed=seed), finished(make_spec(seed=seed)))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mixopt.db").write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"mixopt\.db is damaged .*nothing was changed"):
        Store(tmp_path)
    assert (tmp_path / "mixopt.db").read_text().startswith("not a database")


def test_a_damaged_table_is_left_as_it_is(table: Path) -> None:
    path = table / "mixopt.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with Store(table) as store, pytest.raises(StoreError, match="is damaged"):
        store.rows()
    assert path.read_bytes() == bytes(content)


def test_another_programs_database(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "mixopt.db")
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    with pytest.raises(StoreError, match="no mixopt table"):
        Store(tmp_path)


def test_a_table_from_the_future(table: Path) -> None:
    connection = sqlite3.connect(table / "mixopt.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"newer mixopt \(schema 99.*upgrade"):
        Store(table)


def test_no_table_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results table"):
        Store(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_results_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*--results"):
        Store(tmp_path / "results")


def test_a_read_only_table_is_found_before_training(table: Path) -> None:
    with Store(table, read_only=True) as store, pytest.raises(StoreError, match=r"cannot be written .*--results"):
        store.check_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(table: Path) -> None:
    table.chmod(0o500)
    try:
        with Store(table) as store, pytest.raises(StoreError, match="cannot be written"):
            store.check_writable()
    finally:
        table.chmod(0o700)


def test_a_full_disk_while_writing_a_row_keeps_what_was_there(table: Path) -> None:
    with Store(table) as store:
        # SQLite answers a page limit exactly as it answers a full disk.
        pages = store._database.all("PRAGMA page_count")[0][0]
        store._database.all(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"disk full .*free some space"):
            fill(store)
        kept = store.rows()
    with Store(table) as again:
        assert again.rows() == kept
        assert len(kept) >= 20
        spec = make_spec(seed=199)
        assert again.record(spec, finished(spec))


def test_a_full_disk_while_writing_a_curve_leaves_no_row(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(curves.os, "replace", full)
    spec = make_spec(seed=100)
    with Store(table) as store:
        with pytest.raises(StoreError, match="disk full while writing"):
            store.record(spec, law(spec, WHERE))
        assert not store.has_finished(spec.run_id)
    assert len(list((table / "curves").iterdir())) == 20


def test_a_table_that_somebody_holds(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixopt.store.schema.BUSY_SECONDS", 0.05)
    other = sqlite3.connect(table / "mixopt.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="another process"), Store(table) as store:
        store.check_writable()
    other.close()


def test_a_bad_line_of_an_import_is_named_and_the_lines_before_it_are_kept(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with Store(table) as store:
        export_runs(store, path)
    lines = path.read_text().splitlines()
    edited = json.loads(lines[2])
    edited["run"]["spec"]["seed"] = 1000
    for bad, message in (
        ("{", "no run that export wrote"),
        ('{"run": {}}', "KeyError"),
        (json.dumps(edited), "do not belong together"),
    ):
        path.write_text("\n".join([*lines[:2], bad]))
        with Store(tmp_path / "there") as store:
            with pytest.raises(StoreError, match=rf"runs\.jsonl, line 3: .*{message}"):
                import_runs(store, path)
            assert len(store.rows()) == 2


def test_a_csv_cannot_be_imported_but_recommend_reads_it(table: Path) -> None:
    with Store(table) as store, pytest.raises(StoreError, match="mixopt recommend --runs"):
        import_runs(store, "some.csv")


def test_an_unknown_ending_is_refused(table: Path, tmp_path: Path) -> None:
    with Store(table) as store, pytest.raises(StoreError, match=r"\.csv, \.jsonl or \.jsonl\.gz"):
        export_runs(store, tmp_path / "runs.xlsx")
    assert not (tmp_path / "runs.xlsx").exists()


def test_a_damaged_curve_is_named(table: Path) -> None:
    run_id = make_spec(seed=0).run_id
    (table / "curves" / f"{run_id}.parquet").write_bytes(b"")
    with Store(table) as store:
        with pytest.raises(StoreError, match=rf"curve .*{run_id}\.parquet: cannot be read .* losses are in the table"):
            store.get(run_id)
        assert run_id in store.history().runs


def test_two_processes_that_make_the_table_at_once_both_get_it(tmp_path: Path) -> None:
    """The second one looks when there is nothing, and writes when the first one has."""
    path = tmp_path / "mixopt.db"

    class Late(sqlite3.Connection):
        def executescript(self, script: str, /) -> sqlite3.Cursor:
            Store(tmp_path).close()
            return super().executescript(script)

    late = sqlite3.connect(path, factory=Late, isolation_level=None)
    prepare(late, path, read_only=False)
    late.close()
    with Store(tmp_path) as store:
        assert store.record(make_spec(), finished(make_spec()))
