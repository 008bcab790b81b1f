"""Scores as a table: what stands for a task first, columns that line up, and the average's own arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from rich.console import Console

from mixopt.report.scores_table import average, print_scores, scores_dict, scores_of
from mixopt.score import Score, ScoredModel

ACC = Score(task="sciq", metric="acc", value=0.31, standard_error=0.03, items=500, identity="0", main=True, chance=0.25)
NORM = replace(ACC, metric="acc_norm", value=0.29, main=False)
WORDS = Score(
    task="lambada", metric="acc", value=0.1, standard_error=0.04, items=100, identity="1", main=True, chance=None
)
PERPLEXITY = replace(
    WORDS, metric="perplexity", value=7654.321, standard_error=987.6, main=False, higher_is_better=False
)


def model(name: str, *scores: Score, **missing: str) -> ScoredModel:
    return ScoredModel(name=name, subject=name, source=f"/models/{name}", scores=scores, missing=missing)


def printed(*models: ScoredModel) -> list[list[str]]:
    console = Console(width=120, record=True, file=None, quiet=False)
    with console.capture() as capture:
        print_scores(models, console)
    return [line.split() for line in capture.get().splitlines() if line.strip()]


def test_the_metric_that_stands_for_a_task_comes_first_and_large_numbers_are_short() -> None:
    rows = printed(model("a", NORM, ACC, PERPLEXITY, WORDS))
    assert rows[3:7] == [
        ["sciq", "acc", "0.3100", "±", "0.0300", "0.250", "+2.0", "SE", "500"],
        ["acc_norm", "0.2900", "±", "0.0300", "0.250", "+1.3", "SE", "500"],
        ["lambada", "acc", "0.1000", "±", "0.0400", "100"],
        ["perplexity", "7.65e+03", "±", "988", "100"],
    ]


def test_the_average_is_of_main_metrics_where_greater_is_better() -> None:
    rolling = replace(PERPLEXITY, task="texts", main=True)
    [found] = scores_of([model("a", ACC, NORM, WORDS, PERPLEXITY, rolling)])
    mean = average(found)
    assert mean is not None
    assert mean.value == pytest.approx((0.31 + 0.1) / 2)
    assert mean.standard_error == pytest.approx(math.hypot(0.03, 0.04) / 2)
    assert mean.chance is None, "guessing is not known for one of them"
    assert average(scores_of([model("b", rolling)])[0]) is None


def test_models_that_lack_a_task_have_a_gap() -> None:
    rows = printed(model("a", ACC, WORDS), model("b", replace(ACC, value=0.4)))
    assert ["sciq", "acc", "0.3100", "±", "0.0300", "0.4000", "±", "0.0300", "0.250", "500"] in rows
    assert ["lambada", "acc", "0.1000", "±", "0.0400", "-", "100"] in rows


def test_a_task_with_several_shots_says_which() -> None:
    rows = printed(model("a", ACC, replace(ACC, shots=5, identity="5")), model("b", replace(ACC, shots=5)))
    assert [row[0] for row in rows if "acc" in row] == ["sciq@0", "sciq@5"]


def test_what_could_not_be_had_is_told_with_its_model() -> None:
    rows = printed(model("a", ACC, piqa="no network"), model("b", ACC))
    assert ["not", "had:", "piqa", "(a):", "no", "network"] in rows


def test_the_json_form_has_every_number() -> None:
    [told] = scores_dict([model("a", ACC, NORM, piqa="no network")])["models"]
    assert told["scores"] == [ACC.to_dict(), NORM.to_dict()]
    assert told["tasks"][0]["above_chance"] == pytest.approx(2)
    assert (told["source"], told["missing"]) == ("/models/a", {"piqa": "no network"})
