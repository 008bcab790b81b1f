"""`mixopt search` and `mixopt grid` through their command lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mixopt.cli import main
from mixopt.data.prepare import prepare
from mixopt.errors import ConfigError
from mixopt.execute.base import InlineExecutor
from mixopt.result import DomainResult, RunResult
from mixopt.store import Store
from mixopt.study import Study
from mixopt.study.mixtures import named_mixture
from tests.corpus import write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from mixopt.spec import RunSpec

SMALL = [
    *("--model", "gpt2-0.2m", "--tokens", "2k", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "training.batch_tokens=256"),
    *("--set", "evaluation.points=1", "--set", "evaluation.tokens_per_domain=512"),
]
HERE = ["--data", "DATA", *SMALL, "--objective", "mean_loss"]
ORDER = ("chant", "arithmetic", "words", "digits", "brackets")


def learn(spec: RunSpec, runtime: Any, progress: Any = None) -> RunResult:
    """A trainer without training: the log-linear law of what whole sequences make of a mixture, and some noise."""
    names = spec.data.domains
    seen = spec.mixture.counts(spec.tokens // spec.sequence_length) * spec.sequence_length
    domains = {}
    for index, name in enumerate(names):
        place = ORDER.index(name)
        loss = 2 + 0.2 * place + math.exp(0.5 - (2 - 0.2 * place) * seen[index] / spec.tokens)
        loss += 1e-3 * math.sin(1000 * seen[index] / spec.tokens + spec.seed)
        domains[name] = DomainResult(
            loss=loss, bits_per_byte=loss / 2, train_loss=loss, tokens_seen=int(seen[index]), unique_tokens=1000
        )
    return RunResult(
        run_id=spec.run_id, status="finished", domains=domains, tokens=spec.tokens,
        parameters=spec.model.parameters, flops=spec.flops, train_seconds=0.5, seconds=1.0, device="none",
        curve={}, mixture={},
    )  # fmt: skip


@pytest.fixture
def quick(mixopt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A command with `--json` on the trainer above, without pictures; the object that it prints."""
    monkeypatch.setattr(Study, "executor", lambda study: InlineExecutor(learn))
    monkeypatch.setattr("mixopt.report.png.png", lambda figure: b"")
    return lambda *words: json.loads(mixopt(*words, "--quiet", "--json").stdout)


def test_from_data_to_a_recommendation_a_front_and_a_page(
    mixopt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Study, "executor", lambda study: InlineExecutor(learn))
    words = ["search", *HERE, "--method", "loglinear", "--runs", "8", "--pareto", "mean_loss,worst"]
    first = mixopt(*words)
    assert "8/8 runs done" in first.stderr
    for said in ("Recommended mixture", "log-linear law of 8 mixtures", "law, on mixtures left out", "worst"):
        assert said in first.stdout
    again = mixopt(*words)
    assert "8 of 8 runs are in the table already" in again.stderr
    assert again.stdout == first.stdout
    (folder,) = Path("results/studies").iterdir()
    names = {"recommendation.json", "mixture.png", "evidence.png", "pareto.png"}
    assert {file.name for file in folder.iterdir()} == names
    page = Path(mixopt("report").stdout.split()[-1]).read_text(encoding="utf-8")
    for said in ("mixopt search --method loglinear", "The law on mixtures left out", "search-front"):
        assert said in page


def test_what_is_recommended_was_measured_at_the_target_where_that_is_asked_for(quick: Callable[..., Any]) -> None:
    """Printed and reported too: the mixture, what was measured of it, and the runs, swarm and all."""
    words = ["search", *HERE, "--method", "loglinear", "--runs", "8", "--target-tokens", "8k", "--confirm", "2"]
    answer = quick(*words)
    assert "best of 2 mixtures that were run at the target" in answer["method"]
    with Store("results", read_only=True) as store:
        rows = {row["run_id"]: row for row in store.rows()}
        history = store.history([run for run in answer["runs"] if rows[run]["tokens"] > 4000])
    assert len(answer["runs"]) == 10
    means = history.losses.mean(axis=1)
    assert len(means) == 2
    best = dict(zip(history.domains, history.weights[means.argmin()].tolist(), strict=True))
    assert answer["weights"] == pytest.approx(best)
    assert answer["predicted"]["recommended"]["value"] == pytest.approx(means.min())
    assert quick(*words) == answer


def test_models_that_are_really_trained_tell_mixtures_apart(
    mixopt: Callable[..., Result], data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixopt.report.png.png", lambda figure: b"")
    words = ["search", *HERE, "--method", "random", "--runs", "4", "--quiet", "--json"]
    answer = json.loads(mixopt(*words).stdout)
    with Store("results", read_only=True) as store:
        history = store.history(answer["runs"])
    means = history.losses.mean(axis=1)
    assert len(means) == len(set(means.tolist())) == 4
    # They have learnt something: less than a guess among all tokens costs.
    assert means.max() < math.log(Study(data_dir).manifest.vocab_size)
    best = dict(zip(history.domains, history.weights[means.argmin()].tolist(), strict=True))
    assert answer["weights"] == pytest.approx(best)
    assert answer["predicted"]["recommended"]["value"] == pytest.approx(means.min())
    assert json.loads(mixopt(*words).stdout) == answer


def test_more_runs_keep_those_that_there_are(quick: Callable[..., Any]) -> None:
    few = quick("search", *HERE, "--method", "loglinear", "--runs", "8")
    more = quick("search", *HERE, "--method", "gp", "--runs", "12")
    assert set(few["runs"]) < set(more["runs"])
    assert few["study"] != more["study"]


def test_auto_is_the_default_and_says_what_it_chose_from(quick: Callable[..., Any]) -> None:
    answer = quick("search", *HERE, "--runs", "10")
    assert "chosen of 5 laws by cross-validation" in answer["method"]
    tried = answer["evidence"]["law"]["tried"]
    assert "at least 16 runs" in tried["regmix"]
    assert tried["loglinear"]["spearman"] > 0.9


def test_random_and_grid_recommend_the_best_run_or_a_laws_optimum(quick: Callable[..., Any]) -> None:
    best = quick("search", *HERE, "--method", "random", "--runs", "9")
    assert best["method"] == "best of 9 measured mixtures"
    assert {"natural", "uniform"} <= set(best["predicted"])
    law = quick("search", *HERE, "--method", "random", "--runs", "9", "--regressor", "mixing-law")
    assert law["runs"] == best["runs"]
    assert "data mixing law" in law["method"].lower()
    grid = quick("grid", *HERE, "--step", "0.5")
    assert len(grid["runs"]) == 6 + 2  # the lattice, natural and uniform
    assert quick("grid", *HERE, "--count", "6")["runs"] == grid["runs"]


def test_ddo_is_a_method_of_search(quick: Callable[..., Any]) -> None:
    assert quick("search", *HERE, "--method", "ddo")["weights"] == quick("ddo", *HERE)["weights"]


def test_a_recommendation_is_a_mixture_by_name(quick: Callable[..., Any]) -> None:
    answer = quick("search", *HERE, "--method", "loglinear", "--runs", "8")
    assert named_mixture(f"loglinear:{answer['study'][:6]}", "results").to_dict() == answer["weights"]
    with pytest.raises(ConfigError, match="--method loglinear`; write loglinear:"):
        named_mixture(f"gp:{answer['study']}", "results")


def test_two_levels_draw_from_the_groups_of_the_study_file(quick: Callable[..., Any]) -> None:
    method = {"groups": {"made": ["chant", "arithmetic"], "real": ["words"]}, "runs": 9}
    Path("study.yaml").write_text(yaml.safe_dump({"method": method}))
    plan = quick("search", "study.yaml", *HERE, "--method", "loglinear", "--dry-run", "--set", "executor.gpu=H100")
    assert [run["role"] for run in plan["runs"]][:3] == ["natural", "uniform", "mixture 3"]
    assert len(plan["runs"]) == 9
    assert not Path("results").exists()


@pytest.fixture(scope="module")
def four(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Data of a domain more than DATA's, by the tokenizer that it is prepared with."""
    text = tmp_path_factory.mktemp("four")
    paths = {name: next((data_dir.with_name("data-text") / name).iterdir()) for name in ORDER[:3]}
    paths |= write_text(text / "new", 30, domains=("digits",))

    def made(tokenizer: str) -> Path:
        folder = text / tokenizer.replace(":", "").replace("/", "-")
        if not folder.exists():
            prepare(paths, tokenizer, folder, validation_share=0.1)
        return folder

    return made


def test_a_domain_is_added_to_a_finished_study(
    quick: Callable[..., Any], four: Callable[[str], Path], data_dir: Path
) -> None:
    earlier = quick("search", *HERE, "--method", "loglinear", "--runs", "10")
    words = ["--objective", "mean_loss", *SMALL, "--method", "loglinear", "--runs", "8"]
    words += ["--extend", earlier["study"][:6]]
    same = quick("search", "--data", str(four(str(data_dir / "tokenizer"))), *words)
    old = {name: same["weights"][name] / (1 - same["weights"]["digits"]) for name in ORDER[:3]}
    assert old == pytest.approx(earlier["weights"])
    assert 0.05 < same["weights"]["digits"] < 0.5
    assert set(earlier["runs"]) < set(same["runs"])
    assert "10 runs of study" in same["warnings"][1]
    # A tokenizer trained on the new text too counts losses otherwise.
    other = quick("search", "--data", str(four("bpe:300")), *words)
    assert "its mixture is used and not its runs, as the tokenizer is another" in other["warnings"][1]
    assert not set(earlier["runs"]) & set(other["runs"])


def test_other_training_makes_earlier_runs_another_matter(
    quick: Callable[..., Any], four: Callable[[str], Path], data_dir: Path
) -> None:
    earlier = quick("search", *HERE, "--method", "random", "--runs", "4")
    words = ["--data", str(four(str(data_dir / "tokenizer"))), *SMALL, "--method", "loglinear", "--runs", "8"]
    found = quick("search", *words, "--tokens", "3k", "--extend", earlier["study"])
    assert "not its runs, as tokens differs" in found["warnings"][1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search", "--method", "magic"], "--method: expected"),
        (["search", "--method", "regmx"], "--method: expected regmix or module:Class, found 'regmx'"),
        (["search", "--method", "loglinear", "--runs", "4"], "at least 5 runs"),
        (["search", "--runs", "none"], "method.runs"),
        (["search", "--method", "random", "--regressor", "tree"], "law: expected regmix or module:Class, found 'tree'"),
        (["search", "--floor", "0.4"], "floors: "),
        (["search", "--max-epochs", "0.01"], "the cap is 0.01"),
        (["search", "--target", "10M"], "caps: "),
        (["search", "--strengths", "3"], "flag for method.strengths"),
        (["search", "--design", "two-level"], "design two-level: "),
        (["search", "--pareto", "worst"], "flag for method.pareto"),
        (["search", "--pareto", "worst,worst"], "two different objectives"),
        (["search", "--method", "random", "--kl", "0.1"], "kl: the best measured"),
        (["search", "--extend", "abc"], "no results table"),
        (["grid", "--step", "0.3"], "such as 0.1 or 0.25, found 0.3"),
        (["grid", "--step", "0.002"], "makes 125,751 mixtures"),
        (["grid", "--step", "0.1", "--count", "5"], "--step or --count"),
        (["grid", "--count", "2"], "has 3 mixtures"),
        (["grid", "--set", "method.design=sobol"], "`method.design` for the method grid; it is an option of auto"),
    ],
)
def test_bad_input_gives_one_line_and_status_2(
    words: list[str],
    message: str,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Study, "executor", lambda study: InlineExecutor(learn))
    given = [word.replace("DATA", str(data_dir)) for word in HERE]
    monkeypatch.setattr("sys.argv", ["mixopt", words[0], *given, *words[1:], "--quiet"])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert message in " ".join(captured.err.split())
