"""A mixture is found by whatever name people have for it, and refused in one line where there is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from mixopt.errors import ConfigError, MixoptError, StoreError
from mixopt.mixture import Mixture
from mixopt.store import Store
from mixopt.study.mixtures import mixture_for, named_mixture, resolve_mixture
from tests.study.test_study import make_study

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.study import Study

TOKENS = {"common crawl": 6, "C4": 2, "Github": 1, "Wikipedia": 1, "Books": 1, "ArXiv": 1, "StackExchange": 1}


@pytest.fixture
def study(data_dir: Path, tmp_path: Path) -> Study:
    return make_study(data_dir, tmp_path / "results")


def recommended(study: Study, weights: object, method: str = "ddo") -> str:
    """Put a study and its recommendation into the table's folder; the study's id."""
    study_id = study.study_id
    with Store(study.config.results) as store:
        store.save_study(study_id, method, study.resolved, [])
    folder = store.folder / "studies" / study_id
    folder.mkdir(parents=True)
    (folder / "recommendation.json").write_text(json.dumps({"method": "any", "weights": weights}))
    return study_id


def test_uniform_and_natural_come_from_the_data(study: Study) -> None:
    assert resolve_mixture("uniform", study) == Mixture.uniform(study.domains)
    assert resolve_mixture("natural", study) == study.manifest.natural


def test_a_file_may_leave_domains_out(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "half.yaml"
    first, second, *rest = study.domains
    path.write_text(yaml.safe_dump({second.upper(): 0.25, first: 0.75}))
    found = resolve_mixture(str(path), study)
    assert found.domains == study.domains
    assert found.weights == (0.75, 0.25, *[0.0 for _ in rest])


def test_a_recommendation_is_a_file_of_weights(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "recommendation.json"
    path.write_text(json.dumps({"weights": Mixture.uniform(study.domains).to_dict(), "runs": []}))
    assert resolve_mixture(str(path), study) == Mixture.uniform(study.domains)


def test_a_published_name_takes_the_names_of_the_data(tmp_path: Path) -> None:
    found = mixture_for("redpajama-llama", TOKENS, tmp_path)
    assert found.domains == tuple(TOKENS)
    assert found.to_dict()["common crawl"] == 0.67


def test_a_study_is_found_by_the_start_of_its_id(study: Study) -> None:
    weights = dict(zip(study.domains, (0.5, 0.3, 0.2), strict=True))
    study_id = recommended(study, weights)
    assert resolve_mixture(f"ddo:{study_id[:5]}", study).to_dict() == weights
    with Store(study.config.results, read_only=True) as store:
        assert resolve_mixture(f"ddo:{study_id}", study, store).to_dict() == weights
    assert named_mixture(f"ddo:{study_id}", study.config.results).to_dict() == weights


def test_a_study_of_another_method_is_refused(study: Study) -> None:
    study_id = recommended(study, Mixture.uniform(study.domains).to_dict(), method="ddo")
    with pytest.raises(ConfigError, match=f"is one of `mixopt ddo`; write ddo:{study_id}"):
        resolve_mixture(f"autoscale:{study_id}", study)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": 1.0}, "domains are not the data's"),
        ({"a": 0.7}, "must sum to 1"),
        ({"a": "much"}, "holds no weights"),
        ([1.0], "holds no weights"),
    ],
)
def test_a_spoilt_recommendation_is_refused(study: Study, weights: object, message: str) -> None:
    study_id = recommended(study, weights)
    with pytest.raises(ConfigError, match=message) as raised:
        resolve_mixture(f"ddo:{study_id}", study)
    assert "\n" not in str(raised.value)


def test_a_study_without_a_recommendation_says_how_to_get_one(study: Study) -> None:
    with Store(study.config.results) as store:
        store.save_study(study.study_id, "ddo", study.resolved, [])
    with pytest.raises(ConfigError, match="is not there; run the study again"):
        resolve_mixture(f"ddo:{study.study_id}", study)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unifrom", "nearest: uniform"),
        ("pile-naturl", "nearest: pile-natural"),
        ("mix.yaml", "no such file"),
        ('{"a": 0.5, ' + '"b": 0.5, ' * 60, "no such file"),
        ("redpajama-llama", "domains are not the data's"),
        (".", "cannot be read"),
    ],
)
def test_what_is_no_mixture_is_refused(study: Study, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        resolve_mixture(text, study)
    assert "\n" not in str(raised.value)


def test_an_unknown_study_is_refused(study: Study) -> None:
    with pytest.raises(MixoptError, match="no results table at"):
        resolve_mixture("ddo:abc", study)
    with Store(study.config.results), pytest.raises(StoreError, match="'abc' is not in"):
        resolve_mixture("ddo:abc", study)


def test_mixtures_of_the_data_need_data(tmp_path: Path) -> None:
    for name in ("uniform", "natural"):
        with pytest.raises(ConfigError, match="--data FOLDER"):
            named_mixture(name, tmp_path)
    assert named_mixture("pile", tmp_path).domains[0] == "FreeLaw"


def test_no_text_is_no_mixture(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no mixture"):
        resolve_mixture("", make_study(data_dir, tmp_path))
