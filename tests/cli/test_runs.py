"""`mixopt runs …` and `mixopt init` through their command lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mixopt.cli import app, main
from mixopt.role import Role
from mixopt.store import Store
from tests.execute.trainers import law, make_spec

if TYPE_CHECKING:
    from click.testing import Result


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty folder with a table of three finished runs and a failed one; their ids."""
    from mixopt.execute.base import failed

    monkeypatch.chdir(tmp_path)
    specs = [make_spec(seed=seed) for seed in (0, 1, 2)]
    lost = make_spec(seed=7)
    with Store() as store:
        for spec in specs:
            store.record(spec, law(spec, None))
        store.record(lost, failed(lost, "ValueError: seed 7 is never any good", 1.5))
        store.save_study(
            "abcdef012345", "ddo", {}, [(specs[0].run_id, Role("base")), (specs[1].run_id, Role("", "", "code x3"))]
        )
    return [spec.run_id for spec in [*specs, lost]]


def run(*words: str) -> Result:
    result = CliRunner().invoke(app, ["runs", *words], catch_exceptions=False, env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    return result


def error_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["mixopt", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_list_shows_every_run_and_filters(table: list[str]) -> None:
    shown = run("list").stdout
    assert all(run_id in shown for run_id in table)
    assert [row["run_id"] for row in json.loads(run("list", "--json").stdout)] == table
    assert [row["run_id"] for row in json.loads(run("list", "--status", "failed", "--json").stdout)] == table[3:]
    assert [row["run_id"] for row in json.loads(run("list", "--study", "abc", "--json").stdout)] == table[:2]
    assert run("list", "--status", "diverged").stdout == "no runs\n"


def test_show_tells_everything_about_a_run(table: list[str]) -> None:
    shown = run("show", table[0][:10]).stdout
    assert "gpt2, 1 layers, 8 wide" in shown
    assert "code" in shown
    content = json.loads(run("show", table[0], "--json").stdout)
    assert content["result"] == law(make_spec(seed=0), None).to_dict()
    assert content["spec"] == make_spec(seed=0).to_dict()
    assert "never any good" in run("show", table[3]).stdout


@pytest.mark.slow
def test_export_then_import_elsewhere_gives_the_same_table(table: list[str]) -> None:
    assert run("export", "all.jsonl.gz").stdout == "wrote 4 runs to all.jsonl.gz\n"
    assert run("import", "all.jsonl.gz", "--results", "there").stdout == "took in 4 runs from all.jsonl.gz\n"
    assert run("list", "--json").stdout == run("list", "--json", "--results", "there").stdout
    assert run("import", "all.jsonl.gz").stdout == "took in 1 runs from all.jsonl.gz\n"  # the failed one again
    assert run("export", "some.csv", "--study", "abcdef").stdout == "wrote 2 runs to some.csv\n"
    assert [line.split(",")[0] for line in Path("some.csv").read_text().splitlines()] == ["run", *table[:2]]


def test_rm_removes_runs_by_prefix(table: list[str]) -> None:
    assert run("rm", table[0][:12], table[3]).stdout == "removed 2 runs\n"
    assert [row["run_id"] for row in json.loads(run("list", "--json").stdout)] == table[1:3]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs", "list", "--results", "none"], "no results table at none/mixopt.db"),
        (["runs", "list", "--study", "zzz"], "study 'zzz' is not in"),
        (["runs", "show", "zzz"], "run 'zzz' is not in results/mixopt.db"),
        (["runs", "rm", "zzz"], "run 'zzz' is not in"),
        (["runs", "export", "runs.txt"], "expected a name that ends in"),
        (["runs", "export", "none/runs.csv"], "cannot write none/runs.csv"),
        (["runs", "import", "none.jsonl"], "none.jsonl: cannot be read"),
        (["runs", "import", "runs.csv"], "mixopt recommend --runs runs.csv"),
        (["init", "none/study.yaml"], "cannot be written"),
    ],
)
def test_bad_input_gives_one_line_and_status_2(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(monkeypatch, capsys, *words)
    assert line.startswith("mixopt: error: ")
    assert message in line


def test_a_corrupt_table_is_named_and_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("results/mixopt.db").write_bytes(b"rubbish" * 1000)
    assert "results/mixopt.db is damaged" in error_of(monkeypatch, capsys, "runs", "list")
    assert Path("results/mixopt.db").read_bytes() == b"rubbish" * 1000


def test_init_refuses_to_overwrite(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    before = Path("study.yaml").read_text()
    assert "such a file already" in error_of(monkeypatch, capsys, "init")
    assert Path("study.yaml").read_text() == before


@pytest.mark.parametrize(
    "command", ["init", "ddo", "recommend", *(f"runs {name}" for name in ("list", "show", "export", "import", "rm"))]
)
def test_help_has_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"]).output
    assert f"Example: mixopt {command}" in " ".join(shown.split())


def test_tables_in_a_pipe_are_not_cut_short(table: list[str]) -> None:
    listed = CliRunner().invoke(app, ["runs", "list"]).output
    assert "mean loss" in listed
    assert "…" not in listed + CliRunner().invoke(app, ["runs", "show", table[0]]).output


def test_runs_of_the_table_are_shown_in_tensorboard(table):
    pytest.importorskip("tensorboard")
    assert run("track", "--to", "tensorboard").stdout == "4 runs are in tensorboard\n"
    shown = Path("results/tracking/tensorboard")
    assert {path.name for path in shown.iterdir()} == set(table)
    run("track", "--to", "tensorboard", "--study", "abcdef", "--dir", "elsewhere")
    assert {path.name for path in Path("elsewhere/tensorboard").iterdir()} == set(table[:2])


def test_a_tracker_that_is_not_there_is_refused(monkeypatch, capsys):
    line = error_of(monkeypatch, capsys, "runs", "track", "--to", "neptune")
    assert "expected tensorboard, wandb, mlflow or module:Class, found 'neptune'" in line
