"""What may be compared, and what is said where it may only just."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mixopt.errors import ConfigError
from mixopt.presets import model_spec
from mixopt.spec import OptimSpec
from mixopt.study.compare.checks import check_comparable
from tests.synthetic_runs import make_spec

if TYPE_CHECKING:
    from mixopt.spec import RunSpec

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
