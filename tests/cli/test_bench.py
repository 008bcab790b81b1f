"""`mixopt bench` through its command line."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mixopt.cli import app, main

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

ROWS = ["run,params,tokens,w.a,w.b,loss.x"] + [
    f"{size}-{i},{size},1B,{i / 10},{1 - i / 10},{level + (i / 10 - 0.6) ** 2:.6f}"
    for size, level in (("1M", 4), ("10M", 3))
    for i in range(11)
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("\n".join(ROWS) + "\n")
    (tmp_path / "law_of_mine.py").write_text(
        "def loss(w, parameters, tokens):\n    return 1 + (w + 0.1) ** -0.3 + parameters**-0.1 + tokens**-0.1\n"
        "def wrong(w, parameters, tokens):\n    return w[:3]\n"
    )
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["bench", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that must end with status 2."""
    monkeypatch.setattr(sys, "argv", ["mixopt", "bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert not captured.out
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("mixopt: error: ")
    return line


def test_a_table_and_a_picture_are_the_default(folder: Path) -> None:
    told = run("regmix-1b", "--objective", "pile_cc", "--top", "1", "--methods", "random,loglinear:40", "--seeds", "2")
    assert "top 1 of 64 mixtures at 1B x 25B, 2 seeds" in told.stdout
    assert "32.50" in told.stdout
    out = folder / "results" / "bench" / "regmix-1b-pile_cc"
    assert sorted(path.name for path in out.iterdir()) == ["bench.json", "regret.png"]
    assert (out / "regret.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "bench.json").read_text())["top"] == 1


def test_json_is_one_object() -> None:
    told = run("misleading", "--methods", "random", "--top", "1%", "--json", "--no-plots")
    found = json.loads(told.stdout)
    assert found["top"] == 2
    assert found["methods"]["random"]["cost_to_reach"]["value"] == pytest.approx(201 / 3)


def test_ones_own_runs_from_a_csv() -> None:
    found = json.loads(run("--csv", "runs.csv", "--methods", "gp:9", "--seeds", "2", "--top", "1", "--json",
                           "--no-plots").stdout)  # fmt: skip
    assert found["table"] == "runs"
    assert [(f["name"], f["cost"], f["runs"]) for f in found["fidelities"]] == [
        ("1M x 1B", 0.1, 11),
        ("10M x 1B", 1.0, 11),
    ]
    assert found["methods"]["gp:9"]["seeds_that_missed"] == 0


def test_ones_own_law_as_a_surrogate() -> None:
    found = json.loads(
        run(
            "--surrogate", "law_of_mine:loss", "--domains", "web,code,books", "--fidelities", "1Mx200M,60Mx1B",
            "--pool", "40", "--methods", "loglinear:20,random", "--seeds", "2", "--json", "--no-plots",
        ).stdout
    )  # fmt: skip
    assert (
        found["methods"]["loglinear:20"]["cost_to_reach"]["value"]
        < found["methods"]["random"]["cost_to_reach"]["value"]
    )


def test_costs_can_be_given() -> None:
    told = run("regmix-60m", "--costs", "0.145,1", "--methods", "random", "--no-plots")
    assert "1M x 1B (costs 0.145)" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("regmix-60",), "table: expected regmix-60m, or --csv FILE, found 'regmix-60'"),
        (("--methods", "adsoo"), "method: expected"),
        (("--objective", "pilecc"), "objective: expected pile_cc or weighted:FILE, found 'pilecc'"),
        (("--budget", "0.5"), "budget: expected at least 1"),
        (("--top", "300"), "top: expected a count such as 3"),
        (("--seeds", "0"), "seeds: expected 1 or more"),
        (("--costs", "1"), "costs: expected 2 numbers"),
        (("regmix-1b", "--csv", "runs.csv"), "expected one table, found TABLE and --csv"),
        (("--csv", "nothing.csv"), "runs file nothing.csv: cannot be read"),
        (("--surrogate", "law_of_mine:loss"), "--domains is missing: --surrogate needs"),
        (("--surrogate", "law_of_mine:loss", "--domains", "3"), "--fidelities is missing"),
        (
            ("--surrogate", "law_of_mine:wrong", "--domains", "3", "--fidelities", "1Mx1B"),
            "expected losses of shape (256, evaluation domains), found (3, 3)",
        ),
    ],
)
def test_mistakes_get_one_line(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("10M-4,10M,1B,0.4,0.6,3", "run '10M-4' is there already, on line 17"),
        ("twin,10M,1B,0.4,0.6,3", "runs '10M-4' and 'twin' are of the same mixture"),
        ("new,10M,1B,0.45,0.55,", "line 24 (run 'new'): column 'loss.x': expected a number, found nothing"),
        ("new,10M,1B,0.45,0.85,3", "the weights must sum to 1"),
    ],
)
def test_runs_that_are_refused_get_one_line(
    row: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "runs.csv").write_text("\n".join([*ROWS, row]) + "\n")
    assert message in fails(monkeypatch, capsys, "--csv", "runs.csv")


def test_a_csv_of_one_scale_is_told_what_it_lacks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "runs.csv").write_text("\n".join(ROWS[:12]) + "\n")
    line = fails(monkeypatch, capsys, "--csv", "runs.csv", "--methods", "adso")
    assert "table runs: adso: expected two scales or more, found one" in line


GREEDY = """
import numpy as np
from mixopt.methods.base import Proposal, Recommendation, Role
from mixopt.methods.method import Method
from mixopt.methods.method import MethodSettings, option
from mixopt.mixture import Mixture

class Options(MethodSettings):
    name: str = "greedy"
    runs: int = option("Runs at the target.", 3)

class Greedy(Method[Options]):
    name, summary, Settings = "greedy", "the first rows of a table", Options

    def searcher(self, problem, settings):
        return Searcher(problem, settings)

class Searcher:
    def __init__(self, problem, settings):
        self.problem, self.settings, self.size = problem, settings, problem.sizes[-1]

    def ask(self, history):
        place = (self.size.model, self.size.tokens)
        rows = self.problem.candidates.first(self.settings.runs, (), place, np.random.default_rng(0))
        mixtures = [Mixture.normalised(dict(zip(self.problem.domains, row.tolist()))) for row in rows]
        return [Proposal(mixture, place[1], 0, Role("mine"), model=place[0]) for mixture in mixtures]

    def recommend(self, history):
        values = self.problem.objective("mean").value(history.losses, history.eval_domains, history.domains)
        best = dict(zip(history.domains, history.weights[values.argmin()].tolist()))
        return Recommendation(method="greedy", objective="mean", units="nats/token", tokens=1,
                              mixture=Mixture.normalised(best), intervals={}, predicted={})
"""


def test_a_method_of_ones_own(folder: Path) -> None:
    (folder / "my_module.py").write_text(GREEDY)
    found = json.loads(
        run("--csv", "runs.csv", "--methods", "my_module:Greedy,gp:9", "--set", "runs=4", "--seeds", "1", "--top",
            "1", "--budget", "6", "--json", "--no-plots").stdout
    )["methods"]  # fmt: skip
    (replay,) = found["my_module:Greedy"]["replays"]
    assert replay["fidelity"] == [1] * 4
    assert len(found["gp:9"]["replays"][0]["mixture"]) > 9


def test_options_reach_the_methods_that_have_them() -> None:
    found = json.loads(
        run("--csv", "runs.csv", "--methods", "gp,random", "--set", "runs=9", "--set", "confirm=1", "--seeds", "1",
            "--top", "1", "--json", "--no-plots").stdout
    )  # fmt: skip
    (replay,) = found["methods"]["gp"]["replays"]
    assert replay["fidelity"] == [0] * 9 + [1]


def test_an_option_that_no_method_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(monkeypatch, capsys, "--csv", "runs.csv", "--methods", "gp", "--set", "gaurd=1")
    assert "--set gaurd" in line
