"""Every experiment is a study, or data to prepare, that can be run as it stands; the index names each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.data.request import PrepareRequest
from mixopt.published import published, spelled
from mixopt.study import Study, StudyConfig

FOLDER = Path(__file__).parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*.yaml"))
DATA = [path for path in FILES if path.stem.endswith("_data")]
STUDIES = [path for path in FILES if path not in DATA]
CLUSTER = [path for path in STUDIES if "expected" in yaml.safe_load(path.read_text())["data"]]


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", STUDIES, ids=name)
def test_studies_are_valid(path: Path) -> None:
    config = StudyConfig.load(path)
    assert config.data.dir != "data"
    assert config.results != "results"


@pytest.mark.parametrize("path", DATA, ids=name)
def test_data_to_prepare_is_what_studies_expect(path: Path) -> None:
    request = PrepareRequest.from_yaml(path)
    users = [study for study in CLUSTER if StudyConfig.load(study).data.dir == request.out]
    assert users
    for study in users:
        assert list(StudyConfig.load(study).data.expected or {}) == list(request.domains)


# The domains of AutoScale's BERT have no mixture that anybody published.
@pytest.mark.parametrize("path", [path for path in CLUSTER if path.stem != "autoscale_bert_base"], ids=name)
def test_published_mixtures_fit_the_domains_expected(path: Path) -> None:
    domains = tuple(StudyConfig.load(path).data.expected or {})
    fitting = [entry for entry in published().values() if len(entry.amounts) == len(domains)]
    assert fitting
    for entry in fitting:
        assert spelled(entry.mixture, domains, entry.name).domains == domains


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_index_names_each(path: Path) -> None:
    assert f"`{path.name}`" in (FOLDER / "README.md").read_text()


def test_autoscale_at_the_papers_size_tells_its_gpu_hours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    path = FOLDER / "autoscale_gpt2_large.yaml"
    result = CliRunner().invoke(app, ["autoscale", str(path), "--dry-run", "--json"], catch_exceptions=False)
    plan = json.loads(result.stdout)
    assert len(plan["runs"]) == 30
    assert not plan["prepared"]
    assert plan["tokens"] == pytest.approx(15 * 1.5e9 + 7 * 1.5e9 * (2 - 2 / 3) / 7, rel=1e-3)
    study = Study.of(StudyConfig.load(path))
    assert study.model.parameters == pytest.approx(774e6, rel=1e-3)
    # A token costs 6 FLOPs a parameter and attention's 12 · layers · width · length.
    assert plan["flops"] / plan["tokens"] == pytest.approx(6 * 774e6 + 12 * 36 * 1280 * 1024, rel=0.01)
    assert plan["gpu_hours"] == pytest.approx(plan["flops"] / (0.4 * 989.4e12) / 3600, rel=0.03)


def test_bert_at_the_papers_size_is_its_steps_and_domains(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    path = FOLDER / "autoscale_bert_base.yaml"
    result = CliRunner().invoke(app, ["autoscale", str(path), "--dry-run", "--json"], catch_exceptions=False)
    plan = json.loads(result.stdout)
    assert len(plan["runs"]) == 2 * (2 * 5 + 1)
    study = Study.of(StudyConfig.load(path))
    assert study.model.parameters == pytest.approx(110e6, rel=0.01)
    small, large = (study.spec(study.reference, tokens, seed=0) for tokens in study.config.method.scales or ())
    assert (small.steps, large.steps) == (18_000, 36_000)
    assert (small.objective, len(small.data.domains), len(small.evaluation.only)) == ("masked", 5, 3)
    study.check_epochs(study.spec(study.reference, study.config.method.target_tokens or 0, seed=0), "uniform")


@pytest.mark.parametrize(("path", "parameters", "tokens"), [("ado_124m", 124e6, 15.73e9), ("ado_1.3b", 1.3e9, 125.8e9)])
def test_ados_settings_are_sixty_thousand_steps(path: str, parameters: float, tokens: float) -> None:
    study = Study.of(StudyConfig.load(FOLDER / f"{path}.yaml"))
    spec = study.spec(study.natural, study.tokens, seed=0)
    assert spec.steps == pytest.approx(60_000, rel=1e-3)
    assert spec.tokens == pytest.approx(tokens, rel=1e-3)
    assert spec.model.parameters == pytest.approx(parameters, rel=0.06)
    study.check_epochs(study.spec(study.reference, study.tokens, seed=0), "uniform")
