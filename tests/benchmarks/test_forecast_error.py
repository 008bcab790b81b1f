"""The benchmark of forecasts: its tables from recorded runs, and runs that have nothing to forecast from."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.forecast_error import by_domain, main, table
from mixopt.laws.forecast_error import FRACTIONS, ForecastError
from mixopt.report.online_data import schedule_of, trace_errors
from mixopt.result import DomainResult, RunResult
from mixopt.store import Store
from tests.report.online_made import make_spec, make_trace

DOMAINS, STEPS = ("web", "code"), 300


def errors(*medians):
    """For each fraction a power law's and a schedule-aware law's, of one domain."""
    laws = [(law, fraction) for fraction in FRACTIONS for law in ("power", "schedule-aware")]
    return [ForecastError(law, f, np.array([m])) for (law, f), m in zip(laws, medians, strict=True)]


def test_a_row_a_run_and_their_median():
    rows = {"one": errors(0.1, 0.2, 0.03, -0.02, 0.01, np.nan), "two": errors(0.3, 0.2, 0.05, 0.02, 0.02, np.nan)}
    lines = table(rows).splitlines()
    assert lines[0] == (
        "| run | power, 17 % | schedule-aware, 17 % | power, 50 % | schedule-aware, 50 % | power, 83 % "
        "| schedule-aware, 83 % |"
    )
    assert lines[2:] == [
        "| one | 10.00 | 20.00 | 3.00 | 2.00 | 1.00 | - |",
        "| two | 30.00 | 20.00 | 5.00 | 2.00 | 2.00 | - |",
        "| median of 2 runs | 20.00 | 20.00 | 4.00 | 2.00 | 1.50 | - |",
    ]
    assert len(table({"one": rows["one"]}).splitlines()) == 3


def test_by_domain_the_sign_is_kept():
    found = by_domain(["web", "code"], [ForecastError("power", 0.5, np.array([0.0123, -0.4]))])
    assert found.splitlines()[2:] == ["| web | +1.23 |", "| code | -40.00 |"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecasts") / "results"
    parts = {
        name: DomainResult(loss=2.5, bits_per_byte=1.0, train_loss=2.4, tokens_seen=100, unique_tokens=5000)
        for name in DOMAINS
    }
    ids = {}
    with Store(folder) as store:
        for policy in ("ado", "odm", "static"):
            spec = make_spec(DOMAINS, STEPS, policy)
            trace = None if policy == "static" else make_trace(DOMAINS, STEPS, policy)
            store.record(spec, RunResult(
                run_id=spec.run_id, status="finished", domains=parts, tokens=spec.tokens, parameters=1000,
                flops=1.0, train_seconds=1.0, seconds=1.0, device="cpu x1", trace=trace,
            ))  # fmt: skip
            ids[policy] = spec.run_id
    return folder, ids


@pytest.mark.slow
def test_a_recorded_run_is_read_by_the_start_of_its_id(results, capsys):
    folder, ids = results
    assert main([str(folder), ids["ado"][:10]]) == 0
    said = capsys.readouterr().out
    found = trace_errors(make_trace(DOMAINS, STEPS, "ado"), schedule_of(make_spec(DOMAINS, STEPS)))
    assert table({ids["ado"][:8]: found}) in said
    assert by_domain(DOMAINS, found) in said


@pytest.mark.parametrize(
    ("policy", "message"), [("odm", "its policy odm kept no losses"), ("static", "no trace of a policy")]
)
def test_a_run_without_losses_is_one_line(results, capsys, policy, message):
    folder, ids = results
    assert main([str(folder), ids[policy]]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"run {ids[policy]}: ")
    assert message in said.err
    assert said.err.count("\n") == 1
