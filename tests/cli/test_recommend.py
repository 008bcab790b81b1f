"""`mixopt recommend` through its command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mixopt.cli import app, main

if TYPE_CHECKING:
    from click.testing import Result

GOLDEN = Path(__file__).parents[1] / "golden"
RUNS = GOLDEN / "autoscale_gpt2_large.csv"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recommend(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["recommend", *map(str, arguments)], catch_exceptions=False)


def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line of a command that must end with status 2."""
    monkeypatch.setattr(sys, "argv", ["mixopt", "recommend", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("mixopt: error: ")
    return line


def test_json_is_one_object_with_the_official_optimum():
    result = recommend(
        "--method", "ddo", "--runs", RUNS, "--preset", "official", "--floor", "0.2x", "--json", "--no-plots"
    )
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    expected = json.loads((GOLDEN / "autoscale_gpt2_large.json").read_text())
    for domain, multiple in zip(
        expected["domains"], expected["optimum_multiples_of_uniform"]["official, floor 0.2x"], strict=True
    ):
        assert 7 * answer["weights"][domain] == pytest.approx(multiple, abs=1e-4)
    assert set(answer["predicted"]) == {"recommended", "reference", "uniform"}
    assert set(answer["intervals"]) == set(answer["weights"])
    assert len(answer["runs"]) == 15
    assert answer["warnings"]


@pytest.mark.slow
def test_the_joint_law_is_a_flag():
    answer = json.loads(recommend("--runs", RUNS, "--fit", "joint", "--json", "--no-plots").stdout)
    assert answer["method"].startswith("DDO, joint law per_domain")
    errors = {form: checked["error"] for form, checked in answer["evidence"]["joint"]["cross_validation"].items()}
    assert errors["per_domain"] < errors["additive"] < 0.02
    assert answer["weights"]["c4"] == max(answer["weights"].values())


@pytest.mark.slow
def test_tables_and_pictures_are_the_default(folder: Path):
    result = recommend("--runs", RUNS)
    assert result.exit_code == 0
    assert "Recommended mixture" in result.stdout
    assert "c4" in result.stdout
    out = folder / "results" / "recommend" / "autoscale_gpt2_large"
    assert sorted(path.name for path in out.iterdir()) == ["curves.png", "mixture.png", "recommendation.json"]


@pytest.mark.slow
def test_a_natural_mixture_is_compared(folder: Path):
    (folder / "natural.yaml").write_text("c4: 0.5\nwiki: 0.5\n")
    result = recommend("--runs", RUNS, "--natural", "natural.yaml", "--json", "--no-plots", "--out", "o")
    assert json.loads(result.stdout)["predicted"]["natural"]["value"] > 28


@pytest.mark.slow
def test_caps_come_from_what_there_is(folder: Path):
    domains = ("common_crawl", "github", "books", "wiki", "stackexchange", "arxiv")
    (folder / "there.yaml").write_text("c4: 1M\n" + "".join(f"{d}: 100M\n" for d in domains))
    supply = ("--max-epochs", "4", "--target-tokens", "40M", "--available", "there.yaml")
    result = recommend("--runs", RUNS, *supply, "--json", "--no-plots")
    answer = json.loads(result.stdout)
    assert answer["weights"]["c4"] == pytest.approx(0.1)
    assert any("c4 is at its cap of 0.1" in warning for warning in answer["warnings"])


@pytest.mark.slow
def test_runs_of_one_size_are_chosen(folder: Path):
    rows = RUNS.read_text().splitlines()
    header, body = rows[0].split(",", 3), [row.split(",", 3) for row in rows[1:]]
    lines = [",".join([*header[:3], "params", header[3]])]
    for size in ("124M", "774M"):
        lines += [f"{run} {size},{tokens},{seed},{size},{rest}" for run, tokens, seed, rest in body]
    (folder / "two.csv").write_text("\n".join(lines) + "\n")
    result = recommend("--runs", "two.csv", "--params", "774M", "--json", "--no-plots")
    assert all(run.endswith("774M") for run in json.loads(result.stdout)["runs"])


@pytest.mark.slow
def test_a_note_on_rounded_weights_goes_to_standard_error(folder: Path):
    lines = RUNS.read_text().splitlines()
    cells = [line.split(",") for line in lines]
    rounded = [",".join([*row[:3], *(f"{float(w):.4f}" for w in row[3:10]), *row[10:]]) for row in cells[1:]]
    (folder / "rounded.csv").write_text("\n".join([lines[0], *rounded]) + "\n")
    result = recommend("--runs", "rounded.csv", "--json", "--no-plots")
    json.loads(result.stdout)
    assert "divided by their sums" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--runs", "nothing.csv"), "runs file nothing.csv: cannot be read"),
        (("--runs", RUNS, "--method", "dd0"), "--method: expected ddo or module:Class, found 'dd0'"),
        (("--runs", RUNS, "--preset", "best"), "preset: expected default, paper, official"),
        (("--runs", RUNS, "--fit", "best"), "flag for method.fit: expected 'lines' or 'joint', found 'best'"),
        (("--runs", RUNS, "--fit", "joint", "--preset", "paper"), "'paper' is of laws fitted line by line"),
        (("--runs", RUNS, "--objective", "ppl"), "objective: expected mean_ppl"),
        (("--runs", RUNS, "--floor", "2x"), "floors: they sum to 2"),
        (("--runs", RUNS, "--floor", "low"), "floor: expected a weight"),
        (("--runs", RUNS, "--params", "1B"), "--params: no run has 1000000000 parameters"),
        (("--runs", RUNS, "--max-epochs", "4"), "--target-tokens is missing"),
        (("--runs", RUNS, "--target-tokens", "1B"), "--available is missing"),
        (("--runs", RUNS, "--target-tokens", "1B", "--available", "no.yaml"), "--available no.yaml: cannot be read"),
        (("--runs", RUNS, "--natural", "no.yaml"), "mixture file no.yaml: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_status_2(monkeypatch, capsys, arguments, message):
    assert message in fails(monkeypatch, capsys, *arguments)


def test_a_table_without_a_design_says_what_it_expected(folder: Path, monkeypatch, capsys):
    (folder / "r.csv").write_text("run,tokens,w.a,w.b,loss.a\nx,10,0.5,0.5,1\ny,10,0.52,0.48,1\n")
    assert "expected a base run, and runs that differ from it" in fails(monkeypatch, capsys, "--runs", "r.csv")


def test_nothing_is_written_when_the_input_is_bad(folder: Path, monkeypatch, capsys):
    fails(monkeypatch, capsys, "--runs", RUNS, "--floor", "2x")
    assert list(folder.iterdir()) == []
