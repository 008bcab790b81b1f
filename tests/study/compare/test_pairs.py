"""Gains over a baseline: paired by seed against scipy, unpaired against Welch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from mixopt.errors import ConfigError
from mixopt.presets import model_spec
from mixopt.spec import OptimSpec
from mixopt.study.compare.measure import Scores
from mixopt.study.compare.pairs import check_comparable, relative_gain, versus
from tests.synthetic_runs import make_spec

if TYPE_CHECKING:
    from mixopt.spec import RunSpec


OWN = {0: 70.0, 1: 72.5, 2: 69.0}
BASE = {0: 75.0, 1: 76.0, 2: 71.0}


def test_the_gain_is_the_mean_over_pairs_with_scipys_t_test():
    found = versus(Scores(OWN, {}), Scores(BASE, {}))
    gains = [1 - OWN[seed] / BASE[seed] for seed in OWN]
    test = stats.ttest_1samp(gains, 0)
    interval = test.confidence_interval(0.95)
    assert found.gain.seeds == pytest.approx(gains)
    assert found.gain.value == pytest.approx(np.mean(gains))
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.wins, found.losses, found.paired) == (3, 0, True)


def test_only_seeds_that_both_have_are_paired():
    found = versus(Scores({**OWN, 9: 1.0}, {}), Scores({**BASE, 7: 1.0}, {}))
    assert found.gain == versus(Scores(OWN, {}), Scores(BASE, {})).gain


def test_pairs_take_out_what_a_seed_does_to_both():
    own, base = {0: 90.0, 1: 180.0}, {0: 100.0, 1: 200.0}
    gain, _ = relative_gain(own, base)
    assert gain.value == pytest.approx(0.1)
    assert gain.standard_error == pytest.approx(0, abs=1e-15)


def test_without_a_common_seed_means_are_compared_with_welchs_freedom():
    rng = np.random.default_rng(0)
    own, base = 5000 + rng.standard_normal(4), 5003 + 2 * rng.standard_normal(5)
    found = versus(Scores(dict(enumerate(own.tolist())), {}), Scores(dict(enumerate(base.tolist(), start=10)), {}))
    assert not found.paired
    assert (found.wins, found.losses, found.gain.seeds) == (0, 0, ())
    assert found.gain.value == pytest.approx(1 - own.mean() / base.mean())
    # For a ratio near 1 the delta method is Welch's test of the difference, to first order.
    welch = stats.ttest_ind(own, base, equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-2)
    se = math.hypot(stats.sem(own) / base.mean(), own.mean() * stats.sem(base) / base.mean() ** 2)
    assert found.gain.standard_error == pytest.approx(se)


def test_one_seed_has_a_gain_and_no_interval():
    found = versus(Scores({0: 9.0}, {}), Scores({0: 10.0}, {}))
    assert found.gain.value == pytest.approx(0.1)
    assert (found.gain.standard_error, found.low, found.p_value) == (None, None, None)
    unpaired = versus(Scores({0: 9.0}, {}), Scores({1: 10.0, 2: 10.0}, {}))
    assert (unpaired.gain.standard_error, unpaired.low) == (None, None)


def test_a_mixture_against_itself_wins_and_loses_nothing():
    found = versus(Scores(OWN, {"code": OWN}), Scores(OWN, {"code": OWN}))
    assert (found.gain.value, found.low, found.high, found.p_value) == (0, 0, 0, None)
    assert (found.wins, found.losses, found.domain_wins, found.domain_losses) == (0, 0, 0, 0)


def test_domains_are_won_and_lost_by_their_means():
    own = Scores(OWN, {"code": {0: 5.0, 1: 6.0}, "law": {0: 9.0, 1: 9.0}})
    base = Scores(BASE, {"code": {0: 6.0, 1: 6.0}, "law": {0: 8.0, 1: 8.0}})
    found = versus(own, base)
    assert found.domains["code"].seeds == pytest.approx((1 / 6, 0))
    assert found.domains["law"].value == pytest.approx(-1 / 8)
    assert (found.domain_wins, found.domain_losses) == (1, 1)


def test_constant_values_without_pairs_have_no_spread():
    gain, _ = relative_gain({0: 9.0, 1: 9.0}, {5: 10.0, 6: 10.0})
    assert (gain.value, gain.standard_error) == (pytest.approx(0.1), 0.0)


HALVES = {"code": 0.5, "law": 0.5}


def check(own: Any, metric: Any = "perplexity") -> list[str]:
    return check_comparable({"base": make_spec(HALVES), "own": own}, "base", metric)


def test_other_weights_and_seeds_are_what_is_compared():
    assert check(make_spec({"code": 0.9, "law": 0.1}, seed=7)) == []


def masked(**changes: Any) -> RunSpec:
    return make_spec(HALVES, model=model_spec("bert-nano", 300), objective="masked", **changes)


def test_causal_against_masked_is_refused():
    with pytest.raises(ConfigError, match=r"'own' is a masked .*'base' a causal"):
        check(masked())


def test_masks_of_whole_words_and_of_tokens_are_different_predictions():
    specs = {"base": masked(), "own": masked(whole_word=True)}
    with pytest.raises(ConfigError, match=r"'own' is a whole-word masked .*'base' a masked"):
        check_comparable(specs, "base", "perplexity")
    assert check_comparable({"base": masked(), "own": masked(seed=3)}, "base", "perplexity") == []


def test_masked_models_have_no_bits_per_byte():
    with pytest.raises(ConfigError, match=r"--metric bits-per-byte: 'base' .*masked"):
        check_comparable({"base": masked(), "own": masked(seed=3)}, "base", "bits-per-byte")


def test_other_data_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"fingerprints aaaaaaaaaaaa and ffffffffffff\).*--metric bits-per-byte"):
        check(make_spec(HALVES, fingerprint="a" * 16))


def test_other_data_in_bits_per_byte_is_a_warning():
    (warning,) = check(make_spec(HALVES, fingerprint="a" * 16), "bits-per-byte")
    assert "only where the validation text of each domain is the same" in warning


@pytest.mark.parametrize("metric", ["perplexity", "bits-per-byte"])
def test_other_evaluation_domains_are_refused_with_the_difference(metric: str):
    with pytest.raises(ConfigError, match="only 'own' has news; only 'base' has law"):
        check(make_spec({"code": 0.5, "news": 0.5}), metric)


def test_a_domain_that_only_one_trains_on_is_told():
    (warning,) = check(make_spec({"code": 1.0}, only=("law",)))
    assert warning == "'own' was trained on code; averages go over the training domains of 'base'"


def test_everything_else_that_differs_is_told_with_both_values():
    changed = make_spec(
        HALVES, tokens=4_000_000, optim=OptimSpec(batch_tokens=1000, lr=5e-4), model=model_spec("gpt2-0.4m", 300)
    )
    (warning,) = check(changed)
    assert warning.startswith("'own' differs from 'base' in more than the mixture: model.")
    assert warning.count(" against ") == 4
    assert "more" in warning
    (warning,) = check(make_spec(HALVES, tokens=4_000_000))
    assert warning == "'own' differs from 'base' in more than the mixture: tokens 4000000 against 2000000"
