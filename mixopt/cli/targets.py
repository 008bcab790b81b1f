"""What `mixopt train` and `mixopt ado-train` share: long runs, trained and told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mixopt.cli import common

if TYPE_CHECKING:
    from mixopt.comparison import Entry
    from mixopt.execute.base import Job
    from mixopt.result import Run
    from mixopt.study import Study


def check_asked(study: Study, tokens: str | None, seeds: int) -> tuple[int, range]:
    """Tokens of a run, and the seeds.

    Raises:
        ConfigError: a number is no count, or too small.
    """
    from mixopt.errors import ConfigError
    from mixopt.units import parse_count

    if seeds < 1:
        raise ConfigError(f"--seeds: expected at least 1, found {seeds}")
    count = study.config.method.target_tokens or study.tokens if tokens is None else parse_count(tokens, "--tokens")
    return count, range(seeds)


def run_targets(study: Study, name: str, planned: Sequence[Job], *, plots: bool, quiet: bool, as_json: bool) -> None:
    """Train what the table lacks of one mixture's or policy's runs, and print what they measured.

    Args:
        plots: draw their losses, and what the first run's policy did.
    """
    from rich.console import Console

    from mixopt.execute.base import Quiet
    from mixopt.objective import parse_objective
    from mixopt.report.console import page
    from mixopt.report.online_data import policy_dict, print_policy
    from mixopt.report.progress import Live
    from mixopt.report.target import print_target, target_dict
    from mixopt.store import Store
    from mixopt.study.compare.measure import Side, Yardstick
    from mixopt.study.compare.tasks import SharedTasks
    from mixopt.study.loop import kept_model, train_targets

    watch = Quiet() if quiet else Live(Console(stderr=True))
    with Store(study.config.results) as store, study.executor() as executor:
        store.check_writable()
        runs = train_targets(study, planned, store, executor, watch)
        ids = [result.run_id for _, result in runs]
        tasks = SharedTasks.of(ids, store.scores.of(ids), study.tasks)
    spec = runs[0][0]
    objective = parse_objective(study.config.method.objective)
    yardstick = Yardstick(objective, "perplexity", spec.measured, spec.data.domains, tasks)
    entry = Side.of(name, runs, yardstick).entry
    files = _draw(name, entry, runs, Path(study.config.results) / "targets" / entry.runs[0]) if plots else []
    keeps = study.config.executor.keep_checkpoints
    models = [kept_model(study, run_id) for run_id in entry.runs] if keeps else []
    cap = study.config.training.max_epochs
    if as_json:
        told = {**target_dict(name, entry, runs), **policy_dict(runs, cap), "study": study.study_id}
        written = {"models": [str(path) for path in models], "files": [str(file) for file in files]}
        typer.echo(json.dumps({**told, **written}))
        return
    console = page()
    print_target(name, entry, runs, console)
    print_policy(runs, cap, console)
    common.print_files(files, console)
    for path in models:
        console.print(f"kept {path}", highlight=False, soft_wrap=True)


def _draw(name: str, entry: Entry, runs: Sequence[Run], folder: Path) -> list[Path]:
    """The pictures of a target's runs, written to `folder`."""
    import pandas as pd

    from mixopt.report.console import write_files
    from mixopt.report.online import trace_figures
    from mixopt.report.png import png
    from mixopt.report.target import losses_figure

    figures = [losses_figure(name, entry, runs)]
    spec, result = runs[0]
    if result.trace:
        title = f"{name}, seed {spec.seed}"
        figures += trace_figures(result.trace, pd.DataFrame(result.curve), title)
    return write_files(folder, {f"{figure.name}.png": png(figure) for figure in figures})
