"""Objectives of downstream scores against hand values, in histories and in tables of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.methods.base import Estimate, Recommendation
from mixopt.methods.intervals import bounded
from mixopt.methods.joint.runs import counted
from mixopt.mixture import Mixture
from mixopt.objective import other_objectives, parse_objective, score_noise, tasks_of, weighted
from mixopt.store.runs_csv import only_needed, read_runs

if TYPE_CHECKING:
    from pathlib import Path

DOMAINS = ("web", "code", "task:recall", "task:spelling@5")
VALUES = np.array([[2.0, 3.0, 0.6, 0.2], [2.5, 2.5, 0.4, 0.6]])
TRAINED = ("web", "code")


def history(**changes: object) -> History:
    given = {
        "runs": ("a", "b"),
        "domains": TRAINED,
        "eval_domains": DOMAINS,
        "tokens_seen": np.array([[10.0, 30.0], [20.0, 20.0]]),
        "losses": VALUES,
        "seeds": np.zeros(2, dtype=np.int64),
        "parameters": np.zeros(2, dtype=np.int64),
        "standard_errors": np.array([[0, 0, 0.03, 0.04], [0, 0, 0.03, 0.04]]),
    }
    return History(**{**given, **changes})  # type: ignore[arg-type]


GOAL = weighted(Mixture.from_dict({"web": 0.5, "task:recall": 0.5}), "weighted:goal.yaml")


@pytest.mark.parametrize(
    ("objective", "values", "units"),
    [
        (parse_objective("task:recall"), [0.6, 0.4], "error"),
        (parse_objective("task:spelling@5"), [0.2, 0.6], "error"),
        (parse_objective("downstream"), [0.4, 0.5], "error"),
        (GOAL, [1.3, 1.45], "nats/token and error"),
        (weighted(Mixture.from_dict({"task:recall": 1.0}), "weighted:x"), [0.6, 0.4], "error"),
        (parse_objective("mean_loss"), [2.5, 2.5], "nats/token"),
        (parse_objective("worst"), [3.0, 2.5], "nats/token"),
        (parse_objective("mean_ppl"), np.exp(VALUES[:, :2]).mean(axis=1), "perplexity"),
    ],
)
def test_values_and_units(objective, values, units):
    np.testing.assert_allclose(objective.value(VALUES, DOMAINS, TRAINED), values)
    assert objective.units == units


def test_objectives_of_losses_leave_tasks_out_where_nothing_is_trained_on():
    values = parse_objective("mean_loss").value(VALUES, DOMAINS, ("other",))
    np.testing.assert_allclose(values, [2.5, 2.5])
    with pytest.raises(ConfigError, match="found scores of task:recall"):
        parse_objective("mean_loss").value(VALUES[:, 2:3], DOMAINS[2:3], TRAINED)
    assert other_objectives(parse_objective("downstream"), DOMAINS[2:]) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("task:juggling", "'juggling', found recall, spelling@5; .*evaluation"),
        ("task:spelling", "'spelling', found recall, spelling@5"),
    ],
)
def test_a_task_that_was_not_measured_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        parse_objective(name).value(VALUES, DOMAINS, TRAINED)
    with pytest.raises(ConfigError, match=r"downstream: .*found no task"):
        parse_objective("downstream").value(VALUES[:, :2], TRAINED, TRAINED)


@pytest.mark.parametrize("name", ["mean_loss", "mean_ppl", "task:recall", "downstream"])
def test_what_laws_are_told_to_count_is_the_objective(name):
    objective = parse_objective(name)
    share, aggregate = counted(objective, history())
    computed = (np.exp(VALUES) if aggregate == "sum_exp" else VALUES) @ share
    np.testing.assert_allclose(computed, objective.value(VALUES, DOMAINS, TRAINED))


def test_noise_over_items_is_that_of_independent_tasks():
    runs = history()
    assert score_noise(parse_objective("task:recall"), runs) == pytest.approx(0.03)
    assert score_noise(parse_objective("downstream"), runs) == pytest.approx(0.025)  # (0.03² + 0.04²)^½ / 2
    assert score_noise(GOAL, runs) == pytest.approx(0.015)
    assert score_noise(parse_objective("mean_ppl"), runs) == 0
    assert score_noise(parse_objective("task:recall"), history(standard_errors=None)) == 0


def test_laws_are_fitted_to_the_tasks_that_are_read_and_no_others():
    one = only_needed(history(), [parse_objective("task:recall")])
    assert one.eval_domains == ("web", "code", "task:recall")
    np.testing.assert_array_equal(one.losses, VALUES[:, :3])
    assert one.standard_errors is not None
    assert one.standard_errors.shape == (2, 3)
    none = only_needed(history(), [parse_objective("worst")])
    assert none.eval_domains == TRAINED
    assert none.standard_errors is None
    assert tasks_of(parse_objective("downstream"), DOMAINS) == DOMAINS[2:]


def test_a_history_keeps_its_standard_errors_by_run():
    chosen = history().select(np.array([1]))
    np.testing.assert_array_equal(chosen.standard_errors, [[0, 0, 0.03, 0.04]])
    with pytest.raises(ConfigError, match="standard_errors must have shape"):
        history(standard_errors=np.zeros((2, 3)))


def advice(value: float, low: float, high: float) -> Recommendation:
    return Recommendation(
        method="made",
        objective="task:recall",
        tokens=1,
        mixture=Mixture.uniform(TRAINED),
        intervals={},
        predicted={"recommended": Estimate(value, low, high), "uniform": Estimate(0.4, 0.3, None)},
        gains={"uniform": Estimate(1 - value / 0.4, -0.5, 1.3)},
    )


def test_predicted_errors_end_where_errors_end():
    objective = parse_objective("task:recall")
    cut = bounded(advice(-0.1, -0.2, 1.1), objective, history())
    assert cut.predicted["recommended"] == Estimate(0.0, 0.0, 1.0)
    assert cut.gains["uniform"] == Estimate(1.0, -0.5, 1.0)
    assert "below 0 or above 1 for recommended, which was cut there" in cut.warnings[0]
    inside = bounded(advice(0.2, 0.1, 1.1), objective, history())
    assert inside.predicted["recommended"] == Estimate(0.2, 0.1, 1.0)
    assert inside.warnings == ()
    perplexities = history(losses=VALUES * 10)
    assert bounded(advice(6.0, 2.0, 11.0), objective, perplexities).predicted["recommended"].high == 11.0
    losses = parse_objective("mean_loss")
    assert bounded(advice(-0.1, -0.2, 1.1), losses, history()) == advice(-0.1, -0.2, 1.1)


def table(folder: Path, extra: dict[str, tuple[object, object]], loss: bool = True) -> Path:
    columns = {"run": ("a", "b"), "tokens": (40, 40), "w.web": (0.25, 0.5), "w.code": (0.75, 0.5)}
    columns |= ({"loss.web": (2.0, 2.5), "loss.code": (3.0, 2.5)} if loss else {}) | extra
    rows = [columns, *(dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))]
    path = folder / "runs.csv"
    lines = [",".join(map(str, columns)), *(",".join(map(str, row.values())) for row in rows[1:])]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_may_hold_scores(tmp_path: Path):
    extra = {"score.recall": (0.4, 0.6), "score_se.recall": (0.03, 0.03), "error.surprise": (9.5, 8)}
    found, _ = read_runs(table(tmp_path, extra))
    assert found.eval_domains == ("web", "code", "task:recall", "task:surprise")
    np.testing.assert_allclose(found.losses, [[2, 3, 0.6, 9.5], [2.5, 2.5, 0.4, 8]])
    np.testing.assert_allclose(found.standard_errors, [[0, 0, 0.03, 0], [0, 0, 0.03, 0]])
    alone, _ = read_runs(table(tmp_path, extra, loss=False))
    assert alone.eval_domains == ("task:recall", "task:surprise")
    plain, _ = read_runs(table(tmp_path, {}))
    assert plain.standard_errors is None


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"score.recall": (40, 60)}, "column 'score.recall': .*found 40"),
        ({"error.recall": (-1, 2)}, "column 'error.recall': .*found -1"),
        ({"score.recall": (0.4, "")}, "column 'score.recall': .*found nothing"),
        ({"score_se.recall": (0.1, 0.1)}, "score_se.recall .*score.recall"),
        ({"score.recall": (0.4, 0.5), "error.recall": (1, 2)}, "'recall' .*keep one"),
    ],
)
def test_scores_that_are_none_are_refused(tmp_path: Path, extra, message):
    with pytest.raises(ConfigError, match=message):
        read_runs(table(tmp_path, extra))


def test_scores_of_two_histories_are_not_mixed_up():
    swapped = replace(history(), eval_domains=(*TRAINED, "task:spelling@5", "task:recall"))
    np.testing.assert_allclose(
        parse_objective("task:recall").value(swapped.losses, swapped.eval_domains, TRAINED), [0.2, 0.6]
    )
