"""The schedule's closed form, and which parameters decay."""

from __future__ import annotations

import pytest

from mixopt.models.build import build_model
from mixopt.presets import model_spec
from mixopt.spec import OptimSpec
from mixopt.train.learner import learning_rate, make_adamw


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_rises_to_the_peak_and_falls_to_its_end(schedule):
    spec = OptimSpec(lr=2.0, schedule=schedule, warmup=0.1, final_lr=0.25)
    rates = [learning_rate(spec, step, 101) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.25)  # halfway, both schedules are at the mean of peak and end
    assert rates[100] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_cosine_starts_flatter_than_linear():
    linear, cosine = (OptimSpec(lr=1.0, warmup=0.0, schedule=name) for name in ("linear", "cosine"))
    assert learning_rate(cosine, 10, 101) > learning_rate(linear, 10, 101)


def test_a_run_of_one_step_has_a_rate():
    assert learning_rate(OptimSpec(lr=1.0), 0, 1) > 0


def test_matrices_decay_and_vectors_do_not():
    model = build_model(model_spec("gpt2-0.2m", 100), seed=0)
    decayed, kept = make_adamw(model, OptimSpec(weight_decay=0.3)).param_groups
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in kept["params"]} == {1}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))
