"""`mixopt recommend` with the one-shot methods, from anybody's table of runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mixopt.cli import app, main
from tests.methods.mixing_world import MixingWorld

if TYPE_CHECKING:
    from collections.abc import Callable

WORLD = MixingWorld(noise=0.002)


def table(rows: int = 20, change: Callable[[dict[str, list[Any]]], None] = lambda columns: None) -> str:
    """A CSV file's text."""
    history = MixingWorld(noise=0.002).drawn(rows)
    columns: dict[str, list[Any]] = {"run": list(history.runs), "tokens": [1_000_000] * rows}
    columns |= {f"w.{name}": history.weights[:, k].tolist() for k, name in enumerate(history.domains)}
    columns |= {f"loss.{name}": history.losses[:, v].tolist() for v, name in enumerate(history.eval_domains)}
    change(columns)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(table())
    Path("natural.yaml").write_text("{code: 0.4, web: 0.3, books: 0.2, law: 0.1}")
    Path("available.yaml").write_text("{code: 100k, web: 1M, books: 1M, law: 1M}")
    return tmp_path


def recommend(*words: str) -> dict[str, Any]:
    given = ["recommend", "--runs", "runs.csv", "--objective", "mean_loss", "--json", "--no-plots", *words]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_laws_agree_on_the_optimum_of_a_world_that_is_theirs():
    found = {name: recommend("--method", name) for name in ("loglinear", "mixing-law", "gp")}
    for name, answer in found.items():
        assert answer["evidence"]["law"]["name"] == name
        assert answer["weights"] == pytest.approx(found["loglinear"]["weights"], abs=0.05)
        assert answer["evidence"]["law"]["score"]["spearman"] > 0.9
    assert set(found["gp"]["predicted"]) == {"recommended", "uniform", "best run"}


def test_the_best_run_is_the_answer_without_a_law():
    answer = recommend("--method", "random")
    history = MixingWorld(noise=0.002).drawn(20)
    best = history.losses.mean(axis=1).argmin()
    assert list(answer["weights"].values()) == pytest.approx(history.weights[best])


def test_a_pull_and_caps_move_the_answer():
    free = recommend("--method", "loglinear", "--natural", "natural.yaml")
    pulled = recommend("--method", "loglinear", "--natural", "natural.yaml", "--kl", "10")
    natural = np.array([0.4, 0.3, 0.2, 0.1])

    def away(answer: dict[str, Any]) -> float:
        return float(np.abs(np.array(list(answer["weights"].values())) - natural).sum())

    assert away(pulled) < 0.7 * away(free)
    capped = recommend(
        *("--method", "loglinear", "--available", "available.yaml", "--target-tokens", "1M", "--max-epochs", "1")
    )
    assert capped["weights"]["code"] == pytest.approx(0.1)
    assert capped["multipliers"]["code"] < 0


@pytest.mark.slow
def test_tables_and_pictures_are_the_default(folder: Path):
    words = ["recommend", "--runs", "runs.csv", "--method", "loglinear", "--pareto", "mean_loss,worst"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    for said in ("Recommended mixture", "law, on mixtures left out", "best run"):
        assert said in result.stdout
    out = folder / "results" / "recommend" / "runs"
    assert sorted(path.name for path in out.iterdir()) == [
        "evidence.png", "mixture.png", "pareto.png", "recommendation.json",
    ]  # fmt: skip


def duplicate(columns: dict[str, list[Any]]) -> None:
    for name, cells in columns.items():
        cells.append("again" if name == "run" else cells[3])


def constant(columns: dict[str, list[Any]]) -> None:
    for name, cells in columns.items():
        if name.startswith("loss."):
            cells[:] = [2.5] * len(cells)


def missing(columns: dict[str, list[Any]]) -> None:
    columns["loss.web"][2] = ""


def no_law(columns: dict[str, list[Any]]) -> None:
    rng = np.random.default_rng(0)
    for name, cells in columns.items():
        if name.startswith("loss."):
            cells[:] = rng.normal(3, 0.1, len(cells)).tolist()


def twice(columns: dict[str, list[Any]]) -> None:
    columns["run"][5] = columns["run"][1]


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (table(4), [], "loglinear: a law of 4 domains needs at least 6 runs of different mixtures, found 4"),
        (table(20, duplicate), [], "runs 'run 3' and 'again' are one run twice"),
        (table(20, twice), [], "line 7: run 'run 1' is there already, on line 3"),
        (table(20, constant), [], "objective mean_loss: it is 2.5 for each of 20 mixtures"),
        (table(20, missing), [], "line 4 (run 'run 2'): column 'loss.web': expected a number, found nothing"),
        (table(20, no_law), [], "no law of mean_loss predicts mixtures left out better than their mean"),
        (table(), ["--kl", "0.1"], "--natural is missing: --kl pulls towards"),
        (table(), ["--floor", "0.3"], "floors: they sum to 1.2, which leaves no mixture"),
        (table(), ["--pareto", "worst"], "flag for method.pareto"),
        (table(), ["--method", "loglinar"], "--method: expected loglinear or module:Class, found 'loglinar'"),
        (
            table(),
            ["--available", "available.yaml", "--target-tokens", "100M", "--max-epochs", "1"],
            "caps: they sum to 0.031, below 1, which leaves no mixture",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    text: str, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    Path("runs.csv").write_text(text)
    given = ["recommend", "--runs", "runs.csv", "--objective", "mean_loss", "--method", "loglinear", *words]
    monkeypatch.setattr(sys, "argv", ["mixopt", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("mixopt: error: ")
    assert message in line
    assert not Path("results").exists()


def test_rows_that_do_not_join_are_named(monkeypatch, capsys):
    Path("ratios.csv").write_text("run,a,b\nr1,0.5,0.5\nr2,0.2,0.8\n")
    Path("metrics.csv").write_text("run,x\nr1,2.0\nr3,2.1\n")
    words = ["recommend", "--runs", "ratios.csv", "--metrics", "metrics.csv", "--tokens", "1M", "--method", "auto"]
    monkeypatch.setattr(sys, "argv", ["mixopt", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "run 'r2' is in ratios.csv but not in metrics.csv" in capsys.readouterr().err
