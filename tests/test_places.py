"""A new policy, model family, tracker, export format or law is one file and one line, or a file of your own."""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import mixopt
from mixopt.cli import app
from mixopt.export import FORMATS
from mixopt.methods.swarm.regressors import LAWS
from mixopt.model_spec import FAMILIES
from mixopt.policy import POLICIES
from mixopt.report.online import trace_figures
from mixopt.store import Store
from mixopt.trackers import TRACKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixopt.plugins import Registry

PACKAGE = Path(mixopt.__file__).parent
REGISTRIES: dict[str, Registry[Any]] = {
    "policy/__init__.py": POLICIES,
    "model_spec.py": FAMILIES,
    "trackers/base.py": TRACKERS,
    "export/__init__.py": FORMATS,
    "methods/swarm/regressors/__init__.py": LAWS,
}
# Not which there are, but a choice of them: what `mixopt bench` replays where nobody says.
SELECTIONS = {"bench/registry.py"}
SMALL = [
    *("--data", "DATA", "--model", "gpt2-0.2m", "--tokens", "2k", "--set", "training.max_epochs=50", "-q"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "executor.kind=inline"),
    *("--set", "training.batch_tokens=256", "--set", "evaluation.tokens_per_domain=256"),
]
TOLD = ["--no-plots", "--json"]


def texts(node: ast.AST) -> list[str]:
    """The texts of a list, tuple, set, `Literal[…]` or dictionary's keys; the sentences of a text by themselves."""
    match node:
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.Dict(keys=parts):
            return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        case ast.Constant(value=str(text)):
            return re.findall(r"[\w-]+", text)
    return []


@functools.cache
def together() -> list[tuple[str, set[str]]]:
    """Texts that stand together in the package, with their file: of a list, or of a text that is no docstring."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        parts = [set(texts(node)) for node in nodes if id(node) not in docstrings]
        found += [(path.relative_to(PACKAGE).as_posix(), part) for part in parts if part]
    return found


def lists_of(names: list[str]) -> Iterator[str]:
    """Where in the package three of the names stand together."""
    for path, part in together():
        if len(part & {*names}) >= min(3, len(names)):
            yield path


@pytest.mark.parametrize("file", REGISTRIES)
def test_the_registry_is_the_only_list_of_names(file: str) -> None:
    assert {*lists_of([*REGISTRIES[file].builtin])} - SELECTIONS == {file}


@pytest.mark.parametrize("file", REGISTRIES)
def test_a_line_names_what_is_in_a_file_of_its_own_subsystem(file: str) -> None:
    registry = REGISTRIES[file]
    folders = {where.partition(":")[0].rpartition(".")[0] for where in registry.builtin.values()}
    assert len(folders) == 1
    assert all(registry.get(name) is not None for name in registry)


TOYS = {
    "policy": """
from mixopt.policy import Part, Policy


class Turning(Policy):
    summary = "a little more of each domain in turn"
    variants = {"pace": ("slow", "fast")}
    parts = (Part("extra", "extra share", "extra", "Extra shares"),)

    def __init__(self, prior, pace="slow", rate=0.1):
        self._prior, self._domains, self._seen = prior.array, prior.domains, 0
        self._rate = rate * (2 if pace == "fast" else 1)

    def weights(self, step):
        moved = self._prior * (1 - self._rate)
        moved[self._seen % len(moved)] += self._rate
        return moved

    def observe(self, step, loss_k, tokens_k):
        self._seen += 1

    def describe(self):
        return {"extra": dict.fromkeys(self._domains, self._rate)}

    def state_dict(self):
        return {"seen": self._seen}

    def load_state_dict(self, state):
        self._seen = state["seen"]
""",
    "family": """
from mixopt.models.gpt2 import Gpt2


class Wide(Gpt2):
    presets = {"wide": {"context": 64, "width": 64, "layers": 2, "heads": 4}}

    @property
    def usual_inner_width(self):
        return 8 * self.spec.width
""",
    "tracker": """
from mixopt.trackers import Tracker


class Lines(Tracker):
    def log(self, run):
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lines.txt").open("a") as file:
            print(run.name, file=file)
""",
    "export": """
from mixopt.export import Format

SHARES = Format(
    consumer="a toy", reader="anybody", weight="probability", meaning="Shares are probabilities.", suffix=".txt",
    write=lambda blend: "".join(f"{name} {share}\\n" for name, share in blend.probabilities.items()),
)
""",
    "law": """
import numpy as np
from mixopt.methods.swarm.regressors.base import Fitted, Refits, Regressor


class Linear(Regressor):
    name, title = "linear", "linear law"

    def least_runs(self, domains):
        return domains + 1

    def fit(self, weights, losses, *, seed):
        self.check(weights, losses)
        return Line(weights, losses)


class Line(Fitted):
    def __init__(self, weights, losses):
        self.weights, self.losses = weights, losses
        self.slope = np.linalg.lstsq(weights, losses, rcond=None)[0]

    def predict(self, weights):
        return weights @ self.slope

    def describe(self):
        return {"law": "loss = t.w", "slope": self.slope.T.tolist()}

    def replicates(self, count, seed):
        rows = np.random.default_rng(seed).integers(len(self.weights), size=(count, len(self.weights)))
        return Refits([Line(self.weights[some], self.losses[some]) for some in rows])
""",
}


@pytest.fixture
def run(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a command prints, run in a folder that has the toys, each in a module `its_KIND`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for kind, text in TOYS.items():
        Path(f"its_{kind}.py").write_text(text)

    def command(*words: str) -> str:
        given = [word.replace("DATA", str(data_dir)) for word in words]
        result = CliRunner().invoke(app, given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return command


@pytest.mark.slow
def test_a_policy_of_a_file_in_the_folder(run: Callable[..., str]) -> None:
    words = ["ado-train", *SMALL, *TOLD]
    flag = json.loads(run(*words, "--policy", "its_policy:Turning:fast,rate=0.2@uniform"))
    assert flag["policy"] == "its_policy:Turning"
    assert flag["online"]["final"]["chant"] == pytest.approx(0.6 / 3 + 0.4, abs=0.41)
    Path("study.yaml").write_text("policy: {name: its_policy:Turning, prior: uniform, options: {rate: 0.2}}")
    assert json.loads(run(*words, "study.yaml", "--preset", "fast"))["runs"] == flag["runs"]
    with Store("results", read_only=True) as store:
        trace = store.trace(flag["runs"][0])
    assert trace is not None
    assert trace.moments[-1].parts["extra"]["chant"] == pytest.approx(0.4)
    assert "extra" in [figure.name for figure in trace_figures(trace, None, "it")]
    compared = run("compare", "--no-plots", *SMALL, "--seeds", "1", "uniform", "its_policy:Turning")
    assert "its_policy:Turning" in compared


@pytest.mark.ray
@pytest.mark.slow
def test_ray_s_workers_find_that_file_too(run: Callable[..., str]) -> None:
    words = [word.replace("inline", "ray") for word in SMALL]
    answer = json.loads(run("ado-train", *words, *TOLD, "--policy", "its_policy:Turning"))
    assert len(answer["runs"]) == 1


@pytest.mark.slow
def test_a_model_family_of_a_file_in_the_folder(run: Callable[..., str]) -> None:
    words = ["train", "--mixture", "uniform", *SMALL, *TOLD, "--set", "model.family=its_family:Wide"]
    (run_id,) = json.loads(run(*words, "--model", "wide"))["runs"]
    with Store("results", read_only=True) as store:
        spec, result = store.get(run_id)
    assert spec.model.family == "its_family:Wide"
    assert (spec.model.heads, spec.model.inner_width) == (4, 8 * 64)
    assert result.parameters == spec.model.parameters


@pytest.mark.slow
def test_a_tracker_of_a_file_in_the_folder(run: Callable[..., str]) -> None:
    run("train", "--mixture", "uniform", *SMALL, *TOLD, "--track", "its_tracker:Lines")
    assert Path("results/tracking/lines.txt").read_text() == "target uniform, seed 0\n"
    run("runs", "track", "--to", "its_tracker:Lines", "--dir", "again")
    assert Path("again/lines.txt").read_text() == "target uniform, seed 0\n"


def test_an_export_format_of_a_file_in_the_folder(run: Callable[..., str]) -> None:
    Path("mix.yaml").write_text(yaml.safe_dump({"a": 0.75, "b": 0.25}))
    assert run("export", "mix.yaml", "--to", "its_export:SHARES") == "a 0.75\nb 0.25\n"


@pytest.mark.slow
def test_a_law_of_a_file_in_the_folder(run: Callable[..., str]) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), size=12)
    losses = 3 + shares @ np.array([[0.5, 0.2, 0.4], [0.1, 0.6, 0.3], [0.9, 0.8, 0.1]])
    rows = [
        {"run": f"r{index}", "tokens": 1e6, "seed": 0}
        | {f"w.{name}": share for name, share in zip("abc", shares[index], strict=True)}
        | {f"loss.{name}": loss for name, loss in zip("abc", losses[index], strict=True)}
        for index in range(12)
    ]
    pd.DataFrame(rows).to_csv("runs.csv", index=False)
    answer = json.loads(run("recommend", "--runs", "runs.csv", "--method", "its_law:Linear", "--json"))
    assert "linear law of 12 mixtures" in answer["method"]
    for words in (["--method", "random", "--regressor", "its_law:Linear"], ["--method", "its_law:Linear"]):
        assert json.loads(run("search", *SMALL, "--json", "--dry-run", *words))["runs"]


def test_help_has_what_installed_packages_bring(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICIES._where, "turning", "its_policy:Turning")
    monkeypatch.setitem(FORMATS._where, "shares", "its_export:SHARES")
    assert "turning: a little more of each domain in turn; pace: slow, fast" in run("ado-train", "--help")
    assert "shares: a toy, anybody; numbers are probabilities" in run("export", "--help")
