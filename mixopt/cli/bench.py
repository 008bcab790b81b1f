"""`mixopt bench`: search methods replayed on tables of finished runs; nothing is trained."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mixopt.bench.base import Table

_TABLE, _OUTPUT = "The table", "Output"


def bench(
    table: Annotated[
        str | None,
        typer.Argument(help="regmix-60m, regmix-1b, agreeing, misleading or drawn [regmix-60m].", show_default=False),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names as of `mixopt search`, or module:Class, with commas; gp:32 learns from 32 cheap runs "
            "[all usual ones that the table allows]."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Replays of each method; all methods get the same seeds.")] = 20,
    objective: Annotated[
        str, typer.Option(help="mean, an evaluation domain such as pile_cc, or weighted:FILE.")
    ] = "mean",
    top: Annotated[str, typer.Option(help="What is to be reached: one of the best 3, or of the best 1%.")] = "3",
    budget: Annotated[
        float | None,
        typer.Option(help="Most to spend in a replay, in target runs [until the top is reached].", show_default=False),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Your own runs: run, tokens, params, w.DOMAIN, loss.DOMAIN (mixopt runs export).",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option(help="In the CSV, runs of one mixture and size are points of one run.", rich_help_panel=_TABLE),
    ] = False,
    surrogate: Annotated[
        str | None,
        typer.Option(help="module:function giving losses of (weights, parameters, tokens).", rich_help_panel=_TABLE),
    ] = None,
    domains: Annotated[
        str | None, typer.Option(help="The surrogate's domains: web,code,books, or how many.", rich_help_panel=_TABLE)
    ] = None,
    fidelities: Annotated[
        str | None,
        typer.Option(help="The surrogate's scales, parameters x tokens: 1Mx200M,60Mx1B.", rich_help_panel=_TABLE),
    ] = None,
    pool: Annotated[
        int, typer.Option(help="Mixtures that the surrogate is evaluated on.", rich_help_panel=_TABLE, hidden=True)
    ] = 256,
    costs: Annotated[
        str | None,
        typer.Option(
            help="Cost of each scale in target runs, such as 0.145,1 [from 6 x parameters x tokens].",
            rich_help_panel=_TABLE,
            hidden=True,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="An option of the methods that have it: --set guard=1 (repeatable)."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes, of one thread each.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for bench.json and regret.png [results/bench/TABLE].", rich_help_panel=_OUTPUT),
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw the picture.", rich_help_panel=_OUTPUT)] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUTPUT)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Replay search methods against tables of finished runs: cost to find the best mixtures, and regret.

    No method sees a run that it has not paid for; costs are in target runs.

    Example: `mixopt bench regmix-60m --objective pile_cc --methods adso,single-fidelity,random`
    """
    from mixopt.bench.base import objective_weights
    from mixopt.bench.bench import bench as run_bench
    from mixopt.bench.score import parse_top
    from mixopt.bench.tables import with_costs
    from mixopt.cli.common import parse_settings, print_files
    from mixopt.report.bench import print_bench, regret_figure
    from mixopt.report.console import page, write_files

    found = _table(table, csv, surrogate, domains, fidelities, pool, curves=curves)
    found = with_costs(found, costs) if costs else found
    weights = objective_weights(objective, found.eval_domains)
    names = [name.strip() for name in methods.split(",") if name.strip()] if methods else None
    with _progress(quiet=quiet) as told:
        result = run_bench(
            found,
            (objective, weights),
            names,
            seeds=seeds,
            top=parse_top(top, int(found.available[-1].sum())),
            budget=budget,
            settings=parse_settings(settings),
            workers=workers,
            progress=told,
        )
    content = json.dumps(result.to_dict(), allow_nan=False)
    files = {"bench.json": content.encode()}
    if plots:
        from mixopt.report.png import png

        files["regret.png"] = png(regret_figure(result))
    folder = (
        out or Path("results") / "bench" / f"{Path(found.name).stem}-{objective.replace(':', '-').replace('/', '-')}"
    )
    written = write_files(folder, files)
    if as_json:
        typer.echo(content)
        return
    console = page()
    print_bench(result, console)
    print_files(written, console)


def _table(
    name: str | None,
    csv: Path | None,
    surrogate: str | None,
    domains: str | None,
    fidelities: str | None,
    pool: int,
    *,
    curves: bool,
) -> Table:
    """The one table that the flags mean.

    Raises:
        ConfigError: two of them, or a surrogate without its domains and scales.
    """
    from mixopt.bench.csv_runs import read_labelled, table_of
    from mixopt.bench.surrogate import parse_domains, parse_scales, surrogate_table
    from mixopt.bench.tables import find_table
    from mixopt.errors import ConfigError

    given = [text for text, value in (("TABLE", name), ("--csv", csv), ("--surrogate", surrogate)) if value]
    if len(given) > 1:
        raise ConfigError(f"bench: expected one table, found {' and '.join(given)}")
    if csv is not None:
        return table_of(read_labelled(csv), csv.stem, curves=curves)
    if surrogate is None:
        return find_table(name or "regmix-60m")
    if domains is None or fidelities is None:
        missing = "--domains" if domains is None else "--fidelities"
        raise ConfigError(f"{missing} is missing: --surrogate needs --domains (web,code or 5) and --fidelities "
                          "(1Mx200M,60Mx1B)")  # fmt: skip
    return surrogate_table(surrogate, parse_domains(domains), parse_scales(fidelities), pool=pool)


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Who is told how many replays are done: a bar on a terminal, else nobody."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None  # noqa: ARG005
        return
    with Progress(console=console) as bar:
        task = bar.add_task("replays", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
