"""How much text a study may draw on: limits of distinct tokens, and domains that are too small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mixopt.errors import ConfigError
from tests.corpus import make_data
from tests.study.test_study import make_study

if TYPE_CHECKING:
    from pathlib import Path


def test_limits_of_distinct_tokens_reach_specs_epochs_and_the_study_s_identity(data_dir: Path, tmp_path: Path) -> None:
    free = make_study(data_dir, tmp_path)
    name = free.domains[1]
    limited = make_study(data_dir, tmp_path, data_limits={name: "2k"})
    spec = limited.spec(limited.reference, limited.tokens, seed=0)
    assert spec.data.unique_tokens == (None, 2000, None)
    assert limited.available[name] == 2000
    assert limited.epochs(spec)[name] > free.epochs(free.spec(free.reference, free.tokens, seed=0))[name]
    assert limited.study_id != free.study_id
    with pytest.raises(ConfigError, match="unknown domain 'nothing'"):
        _ = make_study(data_dir, tmp_path, data_limits={"nothing": "2k"}).available


def test_a_domain_of_less_than_a_sequence_is_named_before_its_epochs(tmp_path: Path) -> None:
    small = make_data(tmp_path / "data", tokens_per_domain=1000)
    study = make_study(small, tmp_path, model={"preset": "gpt2-0.2m", "context": 2048}, training={})
    with pytest.raises(ConfigError, match=r"at least a sequence \(2049 training tokens\), found"):
        study.searcher()


def test_caps_at_the_target_count_all_the_text_and_not_the_proxies_limit(data_dir: Path, tmp_path: Path) -> None:
    study = make_study(data_dir, tmp_path)
    name, have = study.domains[0], study.available[study.domains[0]]
    method = {"target_tokens": have * 40}
    training = {"batch_tokens": 256, "max_epochs": 20}
    caps = [
        make_study(data_dir, tmp_path, method=method, training=training, data_limits=limits).searcher().bounds.caps
        for limits in (None, {name: "1k"})
    ]
    assert caps[0] == pytest.approx(caps[1])
    assert caps[0][0] == pytest.approx(0.5)
