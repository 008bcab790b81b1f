"""Online policies in the page: what their courses were, forecasts beside what came, and hostile names as text."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.report import online_data
from mixopt.report.html import gather as gathering
from mixopt.report.html.gather import gather
from mixopt.report.html.page import render
from mixopt.report.online import page_tables
from mixopt.result import DomainResult, RunResult
from mixopt.role import Role
from mixopt.store import Store
from tests.report.html.made import HOSTILE, PLAIN, STUDY, config
from tests.report.online_made import make_spec, make_trace

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.spec import RunSpec

STEPS = 300


def result_of(spec: RunSpec, trace) -> RunResult:
    parts = {
        name: DomainResult(loss=2.5, bits_per_byte=1.0, train_loss=2.4, tokens_seen=100, unique_tokens=5000)
        for name in spec.data.domains
    }
    return RunResult(
        run_id=spec.run_id, status="finished", domains=parts, tokens=spec.tokens, parameters=1000, flops=1.0,
        train_seconds=1.0, seconds=1.0, device="cpu x1", trace=trace,
    )  # fmt: skip


def page_of(folder: Path, domains: tuple[str, ...], kinds: dict[str, tuple[str, tuple]]):
    """A study whose runs had these policies (name, options), by role: what the page shows, and the page."""
    with Store(folder) as store:
        links = []
        for role, (policy, options) in kinds.items():
            spec = make_spec(domains, STEPS, policy, options)
            trace = None if policy == "static" else make_trace(domains, STEPS, policy, options)
            store.record(spec, result_of(spec, trace))
            links.append((spec.run_id, Role(role)))
        store.save_study(STUDY, "ado-train", config(domains, "ado-train"), links)
        study = gather(store)
    return study, render(study)


def figures_of(page: str):
    found = re.search(r'<script type="application/json" id="figures-data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def ado_page(tmp_path_factory):
    kinds = {"target ado": ("ado", ()), "target odm": ("odm", ()), "target uniform": ("static", ())}
    return page_of(tmp_path_factory.mktemp("online") / "results", PLAIN, kinds)


@pytest.mark.slow
def test_a_run_with_a_fixed_mixture_has_no_course(ado_page):
    study, _ = ado_page
    assert [run.label for run in study.online] == ["target ado, seed 0", "target odm, seed 0"]


def test_a_study_of_fixed_mixtures_has_no_section(tmp_path):
    study, page = page_of(tmp_path / "results", PLAIN, {"base": ("static", ())})
    assert study.online == ()
    assert 'id="online"' not in page


def test_the_menus_hold_every_run_and_what_its_policy_says_of_itself(ado_page):
    choices = figures_of(ado_page[1])["online"]["choices"]
    assert list(choices) == ["target ado, seed 0", "target odm, seed 0"]
    ado, odm = choices.values()
    assert list(ado["y"]) == ["mixture", "credit", "slope, nats/token per million tokens", "preference", "reward"]
    assert ado["y"].keys() == odm["y"].keys()
    assert all(value is None for value in ado["y"]["reward"][0])
    assert any(value is not None for value in odm["y"]["reward"][0])


def test_the_mixture_drawn_is_the_one_that_was_trained(ado_page):
    trace = make_trace(PLAIN, STEPS, "ado")
    drawn = figures_of(ado_page[1])["online"]["choices"]["target ado, seed 0"]
    tokens = np.array(drawn["x"][0])
    shares = np.array(drawn["y"]["mixture"]).T
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(shares[0], trace.weights[0], rtol=1e-3)
    np.testing.assert_allclose(shares[-1], trace.weights[-1], rtol=1e-3)
    assert tokens[-1] == pytest.approx((STEPS - 1) * 64, rel=1e-3)


def test_a_part_holds_from_one_account_to_the_next(ado_page):
    drawn = figures_of(ado_page[1])["online"]["choices"]["target ado, seed 0"]
    moments = make_trace(PLAIN, STEPS, "ado").moments
    for at, credit in zip(drawn["x"][0], drawn["y"]["credit"][0], strict=True):
        before = [m.parts["credit"][PLAIN[0]] for m in moments if m.tokens <= at * 1.0005]
        assert credit == (pytest.approx(before[-1], rel=1e-3) if before else None)


def test_forecasts_start_where_their_laws_were_fitted(ado_page):
    drawn = figures_of(ado_page[1])["forecasts"]["choices"]
    assert list(drawn) == ["target ado, seed 0"]  # odm has no laws
    starts = [x[0] for x in drawn["target ado, seed 0"]["x"][1:] if x]
    assert starts == sorted(starts)
    assert set(starts) <= {moment.tokens for moment in make_trace(PLAIN, STEPS, "ado").moments}


def test_no_line_is_longer_than_a_picture_needs(ado_page):
    for figure in (figures_of(ado_page[1])[name] for name in ("online", "forecasts")):
        assert max(len(x) for choice in figure["choices"].values() for x in choice["x"]) <= 200


@pytest.mark.slow
def test_the_table_has_both_laws_errors_at_three_times(ado_page):
    table = page_tables(ado_page[0].online)[0]
    assert [row[1].text for row in table.rows] == ["17 %", "50 %", "83 %"]
    run = ado_page[0].online[0]
    errors = online_data.trace_errors(run.trace, run.schedule)
    for row, power, aware in zip(table.rows, errors[::2], errors[1::2], strict=True):
        for cell, error in zip(row[2:4], (power, aware), strict=True):
            assert cell.text == ("-" if math.isnan(error.median) else f"{100 * error.median:.2f} %")
    assert table.rows[-1][2].text
    assert table.rows[-1][3].text


@pytest.mark.slow
def test_refusals_name_their_domain_and_reason(tmp_path):
    study, page = page_of(tmp_path / "results", PLAIN, {"target ado": ("ado", (("min_points", 120),))})
    rows = page_tables(study.online)[-1].rows
    assert [row[1].text for row in rows] == list(PLAIN)
    assert "120 needed" in rows[0][-1].text
    assert "120 needed" in page


def test_a_page_shows_so_many_runs_one_of_each_role_first(tmp_path, monkeypatch):
    monkeypatch.setattr(gathering, "MOST_ONLINE", 2)
    kinds = [("odm", 0.9), ("odm", 0.8), ("code", 0.7)]
    with Store(tmp_path / "results") as store:
        links = []
        for role, smoothing in kinds:
            options = (("smoothing", smoothing),)
            spec = make_spec(PLAIN, 40, "odm", options)
            store.record(spec, result_of(spec, make_trace(PLAIN, 40, "odm", options)))
            links.append((spec.run_id, Role(role)))
        store.save_study(STUDY, "ado-train", config(PLAIN, "ado-train"), links)
        study = gather(store)
    assert sorted(run.label for run in study.online) == ["code, seed 0", "odm, seed 0"]


@pytest.mark.slow
def test_hostile_names_stay_text(tmp_path):
    _, page = page_of(tmp_path / "results", HOSTILE, {"<b>role</b>": ("ado", ())})
    drawn = figures_of(page)
    for figure in (drawn["online"], drawn["forecasts"]):
        for trace in figure["data"]:
            assert not re.search(r"[<>]", trace["name"])
            assert not re.search(r"<(script|img|a|b)\b", "".join(map(str, trace["customdata"])))
    assert list(drawn["forecasts"]["choices"]["<b>role</b>, seed 0"]["y"]) == list(HOSTILE)  # menus take text
    assert unescape(drawn["online"]["data"][0]["customdata"][0][0]) == HOSTILE[0]
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not any(name in outside for name in (*HOSTILE[:4], "<b>role</b>"))
