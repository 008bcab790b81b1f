"""A search method of a user's own: one class outside the package, taken by every command as ours are."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from mixopt.cli import main
from mixopt.execute.base import InlineExecutor
from mixopt.methods.registry import method_named
from mixopt.study import Study
from tests.study.test_study import Trainer

if TYPE_CHECKING:
    from pathlib import Path

GREEDY = """
import numpy as np

from mixopt.errors import ConfigError
from mixopt.methods.base import Estimate, Proposal, Recommendation, Role
from mixopt.methods.method import Method
from mixopt.methods.method import MethodSettings, option
from mixopt.mixture import Mixture


class GreedySettings(MethodSettings):
    tries: int = option("Mixtures to try.", 5, shown=True, ge=1)


class Searcher:
    wants = frozenset()

    def __init__(self, problem, settings):
        self.problem, self.settings = problem, settings
        self.objective = problem.objective(settings.objective)

    def ask(self, history):
        rng = np.random.default_rng(0)
        rows = rng.dirichlet(np.ones(len(self.problem.domains)), self.settings.tries)
        size, candidates = self.problem.target, self.problem.candidates
        if candidates is not None:
            rows = [candidates.closest(self.mixture(row), (size.model, size.tokens)) for row in rows]
        return [
            Proposal(self.mixture(row), size.tokens, 0, Role("mixture", str(i)), model=size.model)
            for i, row in enumerate(rows)
        ]

    def mixture(self, row):
        return Mixture.normalised(dict(zip(self.problem.domains, row.tolist())))

    def recommend(self, history):
        if not len(history):
            raise ConfigError("greedy: no run finished")
        values = self.objective.value(history.losses, history.eval_domains, history.domains)
        best = int(values.argmin())
        return Recommendation(
            method="greedy",
            objective=self.objective.name,
            tokens=self.problem.tokens,
            mixture=self.mixture(history.weights[best]),
            intervals={},
            predicted={"recommended": Estimate(float(values[best]))},
            runs=history.runs,
        )


class Greedy(Method[GreedySettings]):
    name, summary, Settings = "greedy", "the best of a few mixtures", GreedySettings

    def searcher(self, problem, settings):
        return Searcher(problem, settings)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_module.py").write_text(GREEDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "my_module", raising=False)
    monkeypatch.setattr(Study, "executor", lambda study: InlineExecutor(Trainer()))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    monkeypatch.setattr("sys.argv", ["mixopt", *map(str, words)])
    with contextlib.suppress(SystemExit):
        main()
    said = capsys.readouterr()
    assert "error" not in said.err
    return said.out


OWN = "my_module:Greedy"


def test_a_study_recommends_reports_and_compares_by_it(
    here: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", data_dir, "--model", "gpt2-0.2m", "--tokens", "4k", "--results", here / "results"]
    words += ["--set", "training.batch_tokens=256", "--max-epochs", "50", "--quiet", "--json"]
    answer = json.loads(run(monkeypatch, capsys, "search", "--method", OWN, "--tries", "4", *words))
    assert len(answer["runs"]) == 4
    assert sum(answer["weights"].values()) == pytest.approx(1)
    page = here / "page.html"
    run(monkeypatch, capsys, "report", "--results", here / "results", "--out", page)
    assert "my_module:Greedy" in page.read_text()
    study = Study(data_dir, results=here / "results", method=OWN)
    assert study.method.command_line == f"search --method {OWN}"


def test_its_options_are_flags_and_lines_of_the_template(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "Mixtures to try [5]." in run(monkeypatch, capsys, "search", "--method", OWN, "--help")
    run(monkeypatch, capsys, "init", "study.yaml", "--method", OWN)
    text = (here / "study.yaml").read_text()
    assert f"name: {OWN}" in text
    assert "tries: 5" in text
    monkeypatch.setattr("sys.argv", ["mixopt", "search", "study.yaml", "--budget", "3"])
    with pytest.raises(SystemExit):
        main()
    assert f"--budget: an option of adso, tokens-only, single-fidelity where they train, and this is {OWN}" in (
        capsys.readouterr().err
    )


def test_a_table_of_runs_is_read_by_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "runs.csv").write_text(
        "run,tokens,seed,w.a,w.b,loss.a,loss.b\nx,1000,0,0.5,0.5,2,3\ny,1000,0,0.2,0.8,2,2.5\nz,1000,0,0.9,0.1,1.9,4\n"
    )
    answer = json.loads(
        run(monkeypatch, capsys, "recommend", "--runs", "runs.csv", "--method", OWN, "--json", "--no-plots")
    )
    assert answer["weights"] == pytest.approx({"a": 0.2, "b": 0.8})


def test_a_replay_benchmarks_it_beside_ours(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "agreeing", "--methods", f"{OWN},random", "--seeds", "2", "--quiet", "--json", "--no-plots"]
    found = json.loads(run(monkeypatch, capsys, *words))
    assert set(found["methods"]) == {OWN, "random"}


def test_what_is_no_method_is_refused(here: Path) -> None:
    with pytest.raises(Exception, match="my_module has no Greedier"):
        method_named("my_module:Greedier")
