"""Forecasts of the final training loss by ADO's two laws, on recorded runs (Jiang et al. 2024, Figure 6).

Both laws are fitted to the losses that ADO kept of a run, up to 1/6, 1/2 and 5/6 of it, and forecast each domain's
mean training loss over the last 5 % of the run. The power law is the paper's with the bounds of the `robust`
preset; the schedule-aware law is that of Tissue et al. (2024), given the run's own learning rate.

    python benchmarks/forecast_error.py RESULTS RUN [RUN ...]

RESULTS is a results folder, RUN a run's id or as much of its start as is unique. Runs must have been trained with
ADO: other policies keep no losses. Per cent, median over domains and, with several runs, then over runs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError, MixoptError
from mixopt.laws.forecast_error import FRACTIONS
from mixopt.report.online_data import schedule_of, trace_errors
from mixopt.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mixopt.laws.forecast_error import ForecastError

LAWS = ("power", "schedule-aware")


def errors_of(store: Store, run: str) -> tuple[str, tuple[str, ...], list[ForecastError]]:
    """The run's id, its domains, and the errors of both laws.

    Raises:
        ConfigError: the run has no trace, or its policy kept no losses.
        StoreError: there is no such run, or several.
    """
    run_id = store.find(run)
    trace = store.trace(run_id)
    if trace is None:
        raise ConfigError(f"run {run_id}: no trace of a policy; give a run that was trained with --policy ado")
    spec, _ = store.get(run_id)
    found = trace_errors(trace, schedule_of(spec))
    if not found:
        raise ConfigError(f"run {run_id}: its policy {trace.policy} kept no losses; give a run of ado")
    return run_id, trace.domains, found


def table(rows: Mapping[str, Sequence[ForecastError]]) -> str:
    """Median errors in per cent as Markdown, a row a run and one for all; `-` where nothing could be forecast."""
    heads = [f"{law}, {100 * fraction:.0f} %" for fraction in FRACTIONS for law in LAWS]
    lines = [f"| run | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    medians = {name: [error.median for error in errors] for name, errors in rows.items()}
    for name, values in medians.items():
        lines.append(f"| {name} | {' | '.join(map(_percent, values))} |")
    if len(medians) > 1:
        whole = [_median(column) for column in zip(*medians.values(), strict=True)]
        lines.append(f"| median of {len(medians)} runs | {' | '.join(map(_percent, whole))} |")
    return "\n".join(lines)


def by_domain(domains: Sequence[str], errors: Sequence[ForecastError]) -> str:
    """Signed errors in per cent as Markdown, a row a domain: above 0 the forecast was too high."""
    heads = [f"{error.law}, {100 * error.fraction:.0f} %" for error in errors]
    lines = [f"| domain | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for k, domain in enumerate(domains):
        cells = (_percent(float(error.errors[k]), "{:+.2f}") for error in errors)
        lines.append(f"| {domain} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(value: float, form: str = "{:.2f}") -> str:
    return form.format(100 * value) if np.isfinite(value) else "-"


def _median(values: Iterable[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return statistics.median(finite) if finite else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("runs", nargs="+")
    options = parser.parse_args(arguments)
    try:
        with Store(options.results, read_only=True) as store:
            found = [errors_of(store, run) for run in options.runs]
    except MixoptError as error:
        print(error, file=sys.stderr)
        return 2
    print(table({run_id[:8]: errors for run_id, _, errors in found}))
    for run_id, domains, errors in found:
        print(f"\nRun {run_id}, by domain\n\n{by_domain(domains, errors)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
