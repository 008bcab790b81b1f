"""A trained target as table, JSON and picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from mixopt.objective import MeanLoss
from mixopt.report.png import draw, png
from mixopt.report.target import losses_figure, print_target, target_dict
from mixopt.study.compare.measure import Side, Yardstick
from mixopt.study.compare.tasks import SharedTasks
from tests.execute.trainers import law, make_spec

if TYPE_CHECKING:
    from mixopt.comparison import Entry
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec


@pytest.fixture
def runs() -> list[tuple[RunSpec, RunResult]]:
    """Two seeds, with a domain that is only measured and curves of two points."""
    made = []
    for seed in range(2):
        spec = make_spec(seed=seed)
        result = law(spec, None)  # pyright: ignore[reportArgumentType] (the law needs no place)
        spec = replace(spec, evaluation=replace(spec.evaluation, only=("$<b>",)))
        extra = replace(result.domains["code"], tokens_seen=0, unique_tokens=0, train_loss=None)
        domains = {**result.domains, "$<b>": extra}
        final = [part.loss for part in domains.values()]
        curve = {
            "step": [4] * 4 + [8] * 4,
            "tokens": [256] * 4 + [512] * 4,
            "split": ["validation"] * 8,
            "domain": [*domains] * 2,
            "loss": [loss + 1 for loss in final] + final,
        }
        made.append((spec, replace(result, run_id=spec.run_id, domains=domains, curve=curve)))
    return made


@pytest.fixture
def entry(runs: list[tuple[RunSpec, RunResult]]) -> Entry:
    spec = runs[0][0]
    no_tasks = SharedTasks.of([result.run_id for _, result in runs], {})
    yardstick = Yardstick(MeanLoss(), "perplexity", spec.measured, spec.data.domains, no_tasks)
    return Side.of("mine", runs, yardstick).entry


def test_means_go_over_seeds_and_training_domains(runs, entry) -> None:
    content = target_dict("mine", entry, runs)
    losses = np.array([[result.domains[name].loss for name in runs[0][0].data.domains] for _, result in runs])
    assert content["mean_loss"]["value"] == pytest.approx(losses.mean())
    assert content["mean_ppl"]["value"] == pytest.approx(np.exp(losses).mean())
    assert content["domains"]["code"]["tokens"] == 256
    assert content["domains"]["$<b>"]["trained"] is False
    assert content["tokens_per_second"] == pytest.approx(512 / 0.5)


def test_the_table_has_a_row_a_domain_and_names_stay_text(runs, entry) -> None:
    console = Console(width=140, record=True)
    with console.capture() as capture:
        print_target("[red]mine", entry, runs, console)
    lines = capture.get().splitlines()
    assert any(line.startswith("[red]mine  512 tokens, 2 seeds") for line in lines)
    row = {line.split()[0]: line for line in lines if line.split()}
    assert row["code"].split()[1:4] == ["0.5000", "256", "0.26"]
    assert "only measured" in row["$<b>"]
    assert "1.02k tokens/s on none" in capture.get()


def test_the_picture_has_a_line_a_domain_and_their_mean(runs, entry) -> None:
    figure = losses_figure("mine", entry, runs)
    (axes,) = draw(figure).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert list(lines) == ["code", "prose", "legal", r"\$<b> (only measured)", "mean of training domains"]
    assert lines["mean of training domains"][-1] == pytest.approx(entry.mean_loss.value)
    assert lines["code"][0] == pytest.approx(entry.domains["code"].loss.value + 1)
    assert png(figure).startswith(b"\x89PNG")
