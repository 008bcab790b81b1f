"""`mixopt ado-train` through its command line, on real training in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mixopt.cli import main
from mixopt.role import Role
from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from mixopt.trace import PolicyTrace

# 48 steps of 8 sequences of 32 tokens; laws of five points are enough.
SMALL = [
    *("--data", "DATA", "--model", "gpt2-0.2m", "--tokens", "12k", "--max-epochs", "50", "--executor", "inline"),
    *("--set", "model.context=32", "--set", "model.layers=1", "--set", "model.width=32"),
    *("--set", "training.batch_tokens=256", "--set", "evaluation.tokens_per_domain=256", "-q", "--no-plots"),
]
QUICK = ["--policy", "ado:min_points=5,warmup=10,refit_interval=10,adopt_after=2,max_drift=10.0"]


@pytest.fixture
def ado_train(mixopt: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """Run `mixopt ado-train` and give its JSON."""
    return lambda *words: json.loads(mixopt("ado-train", *SMALL, "--json", *words).stdout)


def trace_of(answer: dict[str, Any]) -> PolicyTrace:
    with Store("results", read_only=True) as store:
        trace = store.trace(answer["runs"][0])
    assert trace is not None
    return trace


def test_ado_moves_away_from_its_prior_and_says_how(mixopt: Callable[..., Result]) -> None:
    printed = mixopt("ado-train", *SMALL, *QUICK, "--seeds", "2", "--plots").stdout
    for file in ("losses", "mixture", "forecasts", "credit", "slopes"):
        assert f"{file}.png" in printed
    assert "mean of training domains" in printed
    assert "The mixture  ado, robust; means of 2 seeds" in printed
    assert "4 fits of the laws a run; refused" in printed
    answer = json.loads(mixopt("ado-train", *SMALL, *QUICK, "--seeds", "2", "--json").stdout)
    online = answer["online"]
    assert answer["policy"] == online["name"] == "ado"
    assert answer["seeds"] == [0, 1]
    assert online["fits"] == [4, 4]
    assert answer["weights"] == pytest.approx(online["average"])
    for name in ("prior", "average", "final"):
        assert sum(online[name].values()) == pytest.approx(1)
    assert max(abs(online["final"][name] - online["prior"][name]) for name in online["prior"]) > 0.01
    trace = trace_of(answer)
    assert trace.weights.shape == (47, 3)
    assert [moment.step for moment in trace.moments] == [11, 21, 31, 41]
    with Store("results", read_only=True) as store:
        (study,) = store.studies()
    assert {role for _, role in study["runs"]} == {Role("target", answer["mixture"])}


def test_the_policy_stands_in_the_study_file_and_flags_go_over_it(ado_train: Callable[..., dict[str, Any]]) -> None:
    Path("study.yaml").write_text("policy: {name: odm, prior: uniform, options: {smoothing: 0.5}}")
    answer = ado_train("study.yaml")
    assert answer["mixture"] == "odm:smoothing=0.5@uniform"
    assert answer["online"]["prior"]["chant"] == pytest.approx(1 / 3)
    assert len(trace_of(answer).moments) == 20
    assert trace_of(answer).moments[0].parts.keys() == {"reward", "policy"}
    other = ado_train("study.yaml", "--preset", "code", "--prior", "natural")
    assert other["mixture"] == "odm:code,smoothing=0.5"
    assert ado_train("study.yaml", "--policy", "static")["mixture"] == "static@uniform"


def test_a_static_policy_is_the_same_run_as_train(mixopt: Callable[..., Result]) -> None:
    first = json.loads(mixopt("ado-train", *SMALL, "--json", "--policy", "static").stdout)
    second = json.loads(mixopt("train", *SMALL, "--json", "--mixture", "natural").stdout)
    assert "online" not in first
    assert first["runs"] == second["runs"]


def test_a_schedule_counts_the_tokens_of_the_run(ado_train: Callable[..., dict[str, Any]]) -> None:
    Path("study.yaml").write_text("policy:\n  name: schedule\n  options:\n    pieces: '[[6400, {\"words\": 1.0}]]'\n")
    answer = ado_train("study.yaml")
    weights = trace_of(answer).weights
    assert (weights[:25, 2] < 1).all()
    assert (weights[25:, 2] == 1).all()
    assert answer["online"]["final"] == {"chant": 0, "arithmetic": 0, "words": 1}


def test_a_dry_run_plans_and_leaves_nothing(mixopt: Callable[..., Result]) -> None:
    printed = mixopt("ado-train", *SMALL, "--preset", "paper", "--dry-run").stdout
    assert "target ado:paper" in printed
    assert list(Path().iterdir()) == []


def test_policies_are_compared_with_mixtures(mixopt: Callable[..., Result]) -> None:
    words = ["natural", "odm", "ado:paper@uniform", "--seeds", "1", "--format", "json"]
    found = json.loads(mixopt("compare", *SMALL, *words, "--baseline", "natural").stdout)
    assert list(found["entries"]) == ["natural", "odm", "ado:paper@uniform"]
    entry = found["entries"]["odm"]
    assert entry["policy"] == "odm"
    with Store("results", read_only=True) as store:
        _, result = store.get(entry["runs"][0])
    seen = np.array([result.domains[name].tokens_seen for name in entry["weights"]])
    assert list(entry["weights"].values()) == pytest.approx((seen / seen.sum()).tolist())
    table = mixopt("compare", *SMALL, *words[:-2], "--no-train", "--baseline", "natural").stdout
    assert "mean of odm" in table


def test_a_run_goes_on_from_its_checkpoint_and_another_preset_begins_anew(
    mixopt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mixopt.train import loop

    trained: list[int] = []
    kill_at: list[int] = []
    step = loop._Run.train_step

    def counted(run: loop._Run) -> None:
        if kill_at == [run.step]:
            raise KeyboardInterrupt
        step(run)
        trained.append(run.step)

    monkeypatch.setattr(loop._Run, "train_step", counted)
    whole = json.loads(mixopt("ado-train", *SMALL, *QUICK, "--json", "--results", "whole").stdout)
    words = ["ado-train", *SMALL, *QUICK, "--set", "executor.checkpoint_seconds=1e-6", "--json"]
    kill_at.append(20)
    mixopt(*words, status=130)
    kill_at.clear()
    trained.clear()
    again = json.loads(mixopt(*words).stdout)
    assert trained == list(range(21, 48))
    assert again["domains"] == whole["domains"]
    with Store("results", read_only=True) as ours, Store("whole", read_only=True) as theirs:
        (run_id,) = again["runs"]
        assert ours.trace(run_id) == theirs.trace(run_id)
    kill_at.append(20)
    mixopt(*words, "--preset", "official", status=130)
    kill_at.clear()
    trained.clear()
    mixopt(*words, "--preset", "paper")
    assert trained == list(range(1, 48))


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (["--set", "data.eval_only=[chant,words]"], "there is one domain"),
        (["--prior", "zero.yaml"], "words was never drawn: its prior is 0"),
        (["--prior", "little.yaml"], "its prior of 0.001 gives no whole sequence"),
        (["--tokens", "1k"], "in 1 fits (1 points, 20 needed)"),
    ],
)
def test_what_a_policy_cannot_work_with_is_told_and_trained(
    words: list[str], warning: str, ado_train: Callable[..., dict[str, Any]]
) -> None:
    Path("zero.yaml").write_text("{chant: 0.5, arithmetic: 0.5}")
    Path("little.yaml").write_text("{chant: 0.5, arithmetic: 0.499, words: 0.001}")
    answer = ado_train(*words)
    assert any(warning in found for found in answer["online"]["warnings"]), answer["online"]["warnings"]
    assert sum(answer["online"]["final"].values()) == pytest.approx(1)


def test_a_fit_that_raises_every_time_changes_nothing_but_the_warnings(
    ado_train: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("mixopt.policy.refit.fit_laws", fail)
    answer = ado_train(*QUICK)
    assert answer["online"]["failures"]["refused"] == {"chant": 4, "arithmetic": 4, "words": 4}
    assert "the fit failed: RuntimeError: out of luck" in answer["online"]["warnings"][0]
    assert answer["online"]["final"] == pytest.approx(answer["online"]["prior"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "adoo"], "found 'adoo'"),
        (["--preset", "best"], "robust, found 'best'"),
        (["--policy", "odm", "--preset", "paper2"], "code, found 'paper2'"),
        (["--policy", "static", "--preset", "paper"], "static has none, found 'paper'"),
        (["--policy", "odm", "--law", "power"], "odm fits no laws, found 'power'"),
        (["--law", "cubic"], "schedule-aware, found 'cubic'"),
        (["--policy", "ado:refit_interval=0"], "ado: refit_interval: "),
        (["--policy", "ado:delta_min=0.4"], "(1 / 3 domains), found 0.4"),
        (["--policy", "ado:speed=1"], "option 'speed'"),
        (["--policy", "group_dro"], "`mixopt doremi`"),
        (["--prior", "none"], "mixture 'none': no such file"),
        (["--prior", "wrong.yaml"], "sum to 1"),
        (["--seeds", "0"], "--seeds: "),
        (["--set", "policy.names=ado"], "`policy.names`; did you mean `name`?"),
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
    Path("wrong.yaml").write_text("{chant: 0.5, words: 0.6}")
    given = [word.replace("DATA", str(data_dir)) for word in SMALL]
    monkeypatch.setattr("sys.argv", ["mixopt", "ado-train", *given, *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    captured = capsys.readouterr()
    assert exit_.value.code == 2
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.splitlines()[-1].startswith("mixopt: error: ")
    assert not Path("results").exists()


def test_a_run_whose_losses_are_no_numbers_ends_as_diverged_with_its_trace(
    mixopt: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mixopt.errors import ExecutorError
    from mixopt.train.loop import LateLosses

    sums = LateLosses.sums

    def spoiled(late: LateLosses) -> Any:
        return sums(late) * (np.nan if late.step == 30 else 1.0)

    monkeypatch.setattr(LateLosses, "sums", spoiled)
    with pytest.raises(ExecutorError, match="none of 1 target runs"):
        mixopt("ado-train", *SMALL, *QUICK)
    with Store("results", read_only=True) as store:
        (row,) = store.rows()
        trace = store.trace(row["run_id"])
    assert row["status"] == "diverged"
    assert "a loss was not finite" in row["error"]
    assert trace is not None
    assert trace.weights.shape == (31, 3)
    assert [moment.step for moment in trace.moments] == [11, 21]
