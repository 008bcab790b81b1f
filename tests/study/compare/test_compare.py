"""Comparisons of runs whose losses are known in closed form."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.comparison import Comparison, Measured
from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.objective import MeanLoss, MeanPerplexity, WeightedLoss, WorstLoss
from mixopt.spec import EvalSpec
from mixopt.study.compare.compare import compare_runs
from tests.synthetic_runs import TOKENS, make_run, make_spec, power_law

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

HALVES = {"code": 0.5, "law": 0.5}
AMPLITUDE = 60.0


def law(amplitude: float, shift: float = 0.0) -> Callable[[float, str], float]:
    """Domains differ by a constant, so that the worst and the held-out one are known."""
    base = power_law(3.0, amplitude)
    extra = {"code": 0.0, "law": 0.5, "news": 1.0}
    return lambda tokens, domain: base(tokens, domain) + extra[domain] + shift


def group(amplitude: float, weights: dict[str, float] = HALVES, seeds: int = 3, **changes: object) -> list:
    """Runs of one mixture: seeds shift every loss by the same amount, in every mixture."""
    return [make_run(make_spec(weights, seed, **changes), law(amplitude, shift=0.01 * seed)) for seed in range(seeds)]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    groups = {
        "uniform": group(AMPLITUDE, only=("news",)),
        "better": group(52.0, {"code": 0.3, "law": 0.7}, only=("news",)),
        "worse": group(61.0, {"code": 0.9, "law": 0.1}, only=("news",)),
    }
    return compare_runs(groups, MeanLoss(), ["uniform"])


def final(amplitude: float, domain: str, seed: int = 0) -> float:
    return law(amplitude, 0.01 * seed)(TOKENS, domain)


def test_losses_and_perplexities_are_means_over_seeds_with_their_standard_error(comparison: Comparison):
    score = comparison.entries["better"].domains["law"]
    losses = [final(52.0, "law", seed) for seed in range(3)]
    assert score.loss == Measured.of(losses)
    assert score.ppl == Measured.of(np.exp(losses).tolist())
    assert score.loss.standard_error == pytest.approx(0.01 / math.sqrt(3))
    assert score.bits_per_byte is not None
    assert score.bits_per_byte.value == pytest.approx(score.loss.value / math.log(2) / 2)


def test_averages_and_the_worst_domain_leave_out_what_is_only_measured(comparison: Comparison):
    entry = comparison.entries["better"]
    assert comparison.averaged == ("code", "law")
    assert entry.mean_loss.value == pytest.approx(final(52.0, "code", 1) + 0.25)
    assert entry.worst.domain == "law"
    assert entry.worst.loss == entry.domains["law"].loss
    assert [entry.domains[domain].trained for domain in ("code", "law", "news")] == [True, True, False]
    assert entry.domains["news"].epochs == 0
    assert entry.domains["code"].epochs == pytest.approx(0.3)


def test_tokens_to_reach_are_those_of_the_law(comparison: Comparison):
    found = comparison.entries["better"].tokens_to_reach["uniform"]
    saved = 1 - (52.0 / AMPLITUDE) ** (1 / 0.3)
    assert found.saved == pytest.approx(saved, abs=2e-4)
    assert found.tokens == pytest.approx((1 - saved) * TOKENS, rel=5e-4)
    assert found.low == pytest.approx(found.high, abs=1e-6)  # the seeds shift both alike
    assert comparison.entries["worse"].tokens_to_reach["uniform"].tokens is None
    assert comparison.entries["uniform"].tokens_to_reach == {}


def test_gains_are_paired_by_seed_and_domains_are_counted(comparison: Comparison):
    versus = comparison.entries["worse"].versus["uniform"]
    assert (versus.wins, versus.losses, versus.domain_wins, versus.domain_losses) == (0, 3, 0, 3)
    own, base = (np.mean([final(a, "code", 1) + 0.25]) for a in (61.0, AMPLITUDE))
    assert versus.gain.value == pytest.approx(1 - own / base, rel=1e-3)
    ratio = math.exp(final(61.0, "code") - final(AMPLITUDE, "code"))
    assert versus.domains["news"].seeds == pytest.approx([1 - ratio] * 3)


def test_json_round_trip_is_exact_and_has_what_others_read(comparison: Comparison):
    text = json.dumps(comparison.to_dict(), allow_nan=False)
    assert Comparison.from_json(text) == comparison
    content = json.loads(text)
    assert content["seeds"] == [0, 1, 2]
    assert content["baseline"] == "uniform"
    entry = content["entries"]["better"]
    assert entry["versus_baseline"] == entry["versus"]["uniform"]
    assert content["entries"]["uniform"]["versus_baseline"] is None
    assert entry["objective"].keys() == {"value", "standard_error", "seeds"}
    assert {"tokens", "saved", "low", "high"} <= entry["tokens_to_reach"]["uniform"].keys()


def test_the_objective_decides_what_is_gained_and_reached():
    groups = {"uniform": group(AMPLITUDE), "better": group(52.0)}
    for objective in (MeanPerplexity(), WorstLoss(), MeanLoss()):
        found = compare_runs(groups, objective, ["uniform"])
        assert found.objective == objective.name
        saved = found.entries["better"].tokens_to_reach["uniform"].saved
        assert saved == pytest.approx(1 - (52.0 / AMPLITUDE) ** (1 / 0.3), abs=2e-3)
    weighted = compare_runs(
        {"uniform": group(AMPLITUDE, only=("news",)), "better": group(52.0, only=("news",))},
        WeightedLoss(Mixture.from_dict({"news": 1.0})),
        ["uniform"],
    )
    entry = weighted.entries["better"]
    assert entry.objective == entry.domains["news"].loss


def test_identity_follows_runs_baselines_objective_and_metric():
    groups = {"uniform": group(AMPLITUDE), "better": group(52.0)}
    first = compare_runs(groups, MeanLoss(), ["uniform"])
    assert first.id == compare_runs(groups, MeanLoss(), ["uniform"], notes=["said before"]).id
    others = [
        compare_runs(groups, WorstLoss(), ["uniform"]),
        compare_runs(groups, MeanLoss(), ["better"]),
        compare_runs(groups, MeanLoss(), ["uniform"], "bits-per-byte"),
        compare_runs({**groups, "better": group(52.0, seeds=2)}, MeanLoss(), ["uniform"]),
    ]
    assert len({first.id, *(other.id for other in others)}) == 5


def test_a_run_that_did_not_finish_is_named_and_left_out():
    runs = group(52.0)
    diverged = make_run(runs[1][0], law(52.0), status="diverged")
    found = compare_runs({"uniform": group(AMPLITUDE), "better": [runs[0], diverged, runs[2]]}, MeanLoss(), ["uniform"])
    assert found.entries["better"].seeds == (0, 2)
    assert f"run {diverged[1].run_id} (seed 1) diverged: a loss was not finite" in found.warnings[0]
    assert "'better' has the seeds 0, 2 and 'uniform' 0, 1, 2" in found.warnings[1]
    assert len(found.entries["better"].versus["uniform"].gain.seeds) == 2


def test_a_mixture_without_a_finished_run_is_refused():
    failed = [make_run(make_spec(HALVES), law(52.0), status="failed")]
    with pytest.raises(ConfigError, match=r"'lost': none of its 1 runs .*[0-9a-f]{16} \(seed 0\) failed"):
        compare_runs({"uniform": group(AMPLITUDE), "lost": failed}, MeanLoss(), ["uniform"])


def test_one_mixture_is_no_comparison():
    with pytest.raises(ConfigError, match=r"two mixtures .*found uniform"):
        compare_runs({"uniform": group(AMPLITUDE)}, MeanLoss(), ["uniform"])


def test_different_seeds_are_compared_by_their_means():
    later = [make_run(make_spec(HALVES, seed), law(52.0, 0.01 * seed)) for seed in (5, 6)]
    found = compare_runs({"uniform": group(AMPLITUDE), "better": later}, MeanLoss(), ["uniform"])
    assert not found.entries["better"].versus["uniform"].paired
    reach = found.entries["better"].tokens_to_reach["uniform"]
    assert reach.tokens is not None
    assert reach.reason == "no interval: the two share no seed"
    assert found.warnings == ("'better' has the seeds 5, 6 and 'uniform' 0, 1, 2: no pairs, only means",)


def with_points(runs: list[tuple[RunSpec, RunResult]], **evaluation: int) -> list[tuple[RunSpec, RunResult]]:
    specs = [replace(spec, evaluation=replace(EvalSpec(points=20), **evaluation)) for spec, _ in runs]
    return [(spec, replace(result, run_id=spec.run_id)) for spec, (_, result) in zip(specs, runs, strict=True)]


def test_tokens_to_reach_are_not_told_from_points_on_other_validation_tokens():
    rough = with_points(group(52.0), tokens_per_domain=4096, point_tokens_per_domain=512)
    found = compare_runs({"uniform": group(AMPLITUDE), "better": rough}, MeanLoss(), ["uniform"])
    reason = found.entries["better"].tokens_to_reach["uniform"].reason or ""
    assert "measured on 512 validation tokens a domain, the baseline's end on 4096" in reason
    assert found.entries["better"].versus["uniform"].gain.value > 0


def test_tokens_to_reach_need_curves_on_the_same_points():
    bare = [(spec, replace(result, curve={})) for spec, result in group(52.0)]
    found = compare_runs({"uniform": group(AMPLITUDE), "better": bare}, MeanLoss(), ["uniform"])
    assert found.entries["better"].curve is None
    assert "kept no curves" in (found.entries["better"].tokens_to_reach["uniform"].reason or "")


def test_a_longer_run_may_need_more_tokens_than_the_baseline_had():
    longer = group(61.0, tokens=2 * TOKENS)
    found = compare_runs({"uniform": group(AMPLITUDE), "longer": longer}, MeanLoss(), ["uniform"])
    saved = found.entries["longer"].tokens_to_reach["uniform"].saved
    assert saved == pytest.approx(1 - (61.0 / AMPLITUDE) ** (1 / 0.3), abs=2e-4)
    assert any("tokens 4000000 against 2000000" in warning for warning in found.warnings)


def test_bits_per_byte_compare_across_tokenizers():
    """Twice the bytes a token: the same loss is half the bits."""
    other = [
        make_run(make_spec(HALVES, seed, fingerprint="e" * 16), law(AMPLITUDE, 0.01 * seed), bytes_per_token=4.0)
        for seed in range(3)
    ]
    groups = {"uniform": group(AMPLITUDE), "other": other}
    with pytest.raises(ConfigError, match=r"not comparable; .*--metric bits-per-byte"):
        compare_runs(groups, MeanPerplexity(), ["uniform"])
    found = compare_runs(groups, MeanPerplexity(), ["uniform"], "bits-per-byte")
    entry = found.entries["other"]
    assert (found.objective, found.units) == ("mean_bits_per_byte", "bits/byte")
    assert entry.objective == entry.mean_bits_per_byte
    assert entry.versus["uniform"].gain.value == pytest.approx(0.5)
    assert entry.versus["uniform"].domains["law"].value == pytest.approx(0.5)
    assert entry.tokens_to_reach["uniform"].tokens is None
    assert "a token is not the same amount of text" in (entry.tokens_to_reach["uniform"].reason or "")
    assert "different prepared data" in found.warnings[0]


def test_bits_per_byte_on_the_same_data_have_the_same_crossings():
    groups = {"uniform": group(AMPLITUDE), "better": group(52.0)}
    bits = compare_runs(groups, WorstLoss(), ["uniform"], "bits-per-byte").entries["better"]
    nats = compare_runs(groups, WorstLoss(), ["uniform"]).entries["better"]
    assert bits.tokens_to_reach["uniform"].saved == pytest.approx(nats.tokens_to_reach["uniform"].saved)
    assert bits.objective.value == pytest.approx(nats.objective.value / math.log(2) / 2)


def test_runs_without_bits_per_byte_say_so():
    bare = [
        (spec, replace(result, domains={k: replace(v, bits_per_byte=None) for k, v in result.domains.items()}))
        for spec, result in group(52.0)
    ]
    groups = {"uniform": group(AMPLITUDE), "bare": bare}
    assert compare_runs(groups, MeanLoss(), ["uniform"]).entries["bare"].mean_bits_per_byte is None
    with pytest.raises(ConfigError, match=r"'bare': .*no bits per byte"):
        compare_runs(groups, MeanLoss(), ["uniform"], "bits-per-byte")
