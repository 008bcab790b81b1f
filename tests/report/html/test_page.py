"""What is in the page: every run, every number's origin, scripts that are known beforehand, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.errors import ConfigError, StoreError
from mixopt.methods.base import Proposal
from mixopt.mixture import Mixture
from mixopt.report.html import gather as gathering
from mixopt.report.html import write_report
from mixopt.report.html.gather import gather
from mixopt.report.html.page import render
from mixopt.report.html.page_sections import make_page
from mixopt.report.html.plotly import plain
from mixopt.role import Role
from mixopt.store import Store
from mixopt.units import format_count
from tests.execute.trainers import law, make_spec
from tests.report.html.made import HOSTILE, PLAIN, STUDY, TOKENS, config, make_autoscale, train
from tests.report.html.made import make_spec as spec_of
from tests.store.test_store import WHERE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results(plain_results: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(plain_results, tmp_path / "results")


def read(folder: Path, study: str | None = None):
    with Store(folder, read_only=True) as store:
        return gather(store, study)


def block(page: str, name: str):
    """A data block of the page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.mark.slow
def test_only_scripts_with_a_known_hash_may_run(hostile_page):
    page = hostile_page.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = re.search(r"script-src ([^;]*);", page)
    assert allowed
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert unescape(allowed[1]).split() == [f"'sha256-{one}'" for one in hashes]
    assert len(scripts) == 2  # Plotly's and the page's; a name with a script in it would be a third


def test_nothing_outside_the_page_is_named_as_a_source(hostile_page):
    head = hostile_page.read_text(encoding="utf-8").split("<script", 1)[0]
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", head)
    assert "@import" not in head
    assert "url(" not in head


def test_every_run_has_a_row_and_its_numbers(hostile_results, hostile_page):
    page = hostile_page.read_text(encoding="utf-8")
    details = block(page, "details-data")["runs"]
    with Store(hostile_results, read_only=True) as store:
        rows = store.rows()
        for row in rows:
            _, result = store.get(row["run_id"])
            assert f'id="run-{row["run_id"]}"' in page
            found = {name: (loss, tokens) for name, _, tokens, _, loss, *_ in details[row["run_id"]]["domains"]}
            assert found.keys() == result.domains.keys()
            for name, part in result.domains.items():
                assert found[name] == (pytest.approx(part.loss, rel=1e-5), part.tokens_seen)
    assert details.keys() == {row["run_id"] for row in rows}


def test_links_lead_to_runs_of_the_page(hostile_page):
    page = hostile_page.read_text(encoding="utf-8")
    linked = set(re.findall(r'href="#(run-\w+)"', page))
    assert linked
    assert linked <= set(re.findall(r'<tr id="(run-\w+)"', page))


def test_points_of_a_law_name_their_runs(plain_results):
    study = read(plain_results)
    roles = {run.run_id: run.roles for run in study.runs}
    assert study.recommendation
    for domain, part in study.recommendation.evidence.domains.items():
        named = [str(roles[run][0]) for some in part.points.runs for run in some]
        assert named == ["base", f"{domain} x1/3", f"{domain} x3"] or named == [
            "base",
            f"{domain} x3",
            f"{domain} x1/3",
        ]


def test_the_objective_of_a_run_is_that_of_its_losses(plain_results):
    for run in read(plain_results).runs:
        losses = run.losses.values()
        assert run.objective == pytest.approx(sum(math.exp(loss) for loss in losses) / len(losses))


def test_the_latest_study_is_taken_unless_one_is_named(results):
    with Store(results) as store:
        store.save_study("fedcba987654", "ddo", config(PLAIN), [])
    assert read(results).study_id == "fedcba987654"
    assert read(results, STUDY[:4]).study_id == STUDY


def test_a_study_without_an_answer_says_so_and_shows_its_runs(results):
    shutil.rmtree(results / "studies")
    shutil.rmtree(results / "comparisons")
    page = render(read(results))
    assert "no recommendation yet" in page
    assert page.count('<tr id="run-') == len(read(results).runs) > 0
    assert set(block(page, "figures-data")) == {"training", "trained"}


def test_a_study_without_runs_has_a_page(results):
    with Store(results) as store:
        store.save_study("fedcba987654", "ddo", config(PLAIN), [])
    page = render(read(results))
    assert "0 of its 0 runs are finished" in page
    assert block(page, "figures-data") == {}


def test_failed_and_diverged_runs_are_shown_with_their_reason(results):
    with Store(results) as store:
        spec = make_spec()
        lost = replace(law(spec, WHERE), status="failed", domains={}, curve={}, error="<b>killed</b>")
        store.record(spec, lost)
        store.save_study(STUDY, "ddo", config(PLAIN), [(spec.run_id, Role("perturbed", "code", "code x3"))])
    study = read(results)
    run = next(run for run in study.runs if run.run_id == spec.run_id)
    assert (run.objective, run.mean_loss, run.losses) == (None, None, {})
    page = render(study)
    assert "failed" in page
    assert "&lt;b&gt;killed&lt;/b&gt;" in page
    assert "<b>killed" not in page


def test_comparisons_of_other_runs_stay_out(results):
    assert len(read(results).comparisons) == 1
    with Store(results) as store:
        spec = spec_of(PLAIN, _proposal(seed=99))
        store.record(spec, train(spec))
        store.save_study("fedcba987654", "ddo", config(PLAIN), [(spec.run_id, Role("base"))])
    assert read(results, "fedcba").comparisons == ()


def _proposal(seed: int) -> Proposal:
    return Proposal(Mixture.uniform(PLAIN), TOKENS, seed, Role("base"))


def test_runs_of_a_comparison_are_among_the_studys(results):
    with Store(results) as store:
        everything = {row["run_id"] for row in store.rows()}
    study = read(results)
    compared = {run for entry in study.comparisons[0].entries.values() for run in entry.runs}
    assert compared <= {run.run_id for run in study.runs} == everything


def test_curves_are_limited_and_thinned_and_keep_their_ends(results, monkeypatch):
    monkeypatch.setattr(gathering, "MOST_CURVES", 5)
    monkeypatch.setattr(gathering, "MOST_POINTS", 3)
    study = read(results)
    assert len(study.curves) == 5
    verified = {run.run_id for run in study.runs if any(role.kind == "verify" for role in run.roles)}
    assert verified <= study.curves.keys()
    for run_id, curve in study.curves.items():
        tokens, losses = curve.losses["validation"]
        run = next(run for run in study.runs if run.run_id == run_id)
        assert len(tokens) == 3
        assert tokens[-1] == run.row["tokens"]
        assert {name: values[-1] for name, values in losses.items()} == pytest.approx(run.losses)
    page = render(study)
    assert f"5 of {len(study.runs)} runs" in page


@pytest.mark.parametrize("name", ["recommendation.json", "verification.json", "comparison.json"])
def test_a_damaged_file_is_named(results, name):
    path = next(results.rglob(name))
    path.write_text("{")
    with pytest.raises(StoreError, match=f"{name}: cannot be read"):
        read(results)


def test_a_table_without_studies_says_what_makes_one(tmp_path):
    Store(tmp_path / "results").close()
    with pytest.raises(StoreError, match="holds no study yet"):
        read(tmp_path / "results")


@pytest.mark.slow
def test_the_page_goes_beside_the_answer_or_where_it_is_told(results, tmp_path):
    with Store(results, read_only=True) as store:
        assert write_report(store) == results / "studies" / STUDY / "report.html"
        assert write_report(store, None, tmp_path / "new" / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_a_place_that_cannot_be_written_is_named(results, tmp_path):
    (tmp_path / "file").write_text("")
    with Store(results, read_only=True) as store, pytest.raises(ConfigError, match=r"cannot be written .* --out"):
        write_report(store, None, tmp_path / "file" / "page.html")


@pytest.mark.slow
def test_the_same_study_gives_the_same_page(results):
    assert render(read(results)) == render(read(results))


@given(st.text())
def test_labels_hold_no_markup_and_lose_nothing(name):
    shown = plain(name)
    assert "<" not in shown
    assert ">" not in shown
    assert unescape(shown) == " ".join(name.split())


def test_hostile_names_are_escaped_wherever_they_stand(hostile_page):
    page = re.sub(r"<script>.*?</script>", "", hostile_page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name in HOSTILE[:4]:
        assert name not in page


@pytest.mark.slow
def test_the_question_has_the_length_of_every_scale_and_no_settings_that_are_off(tmp_path):
    study = read(make_autoscale(tmp_path / "results"))
    grid = {fact.label: fact for section in make_page(study).sections for fact in section.grid}
    scales = study.recommendation.evidence.scales
    assert grid["training"].value == ", ".join(format_count(scale.tokens) for scale in scales) + " tokens"
    assert "False" not in grid["method"].remark
