"""`mixopt recommend`: a mixture from anybody's table of runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mixopt.history import History
    from mixopt.methods.problem import Problem
    from mixopt.mixture import Mixture

# The method that a table is read for where none is named.
DEFAULT = "ddo"


def _run(
    runs: Annotated[
        Path,
        typer.Option(
            help="CSV with columns run, tokens, seed, params, w.DOMAIN, loss.DOMAIN or ppl.DOMAIN; or ratios.csv."
        ),
    ],
    options: dict[str, Any],
    method: Annotated[
        str, typer.Option(help="ddo, autoscale, auto, regmix, adso … or module:Class; the flags are this method's.")
    ] = DEFAULT,
    metrics: Annotated[Path | None, typer.Option(help="Olmix's metrics.csv, joined on the run.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens of every run, for files without that column.")] = None,
    params: Annotated[str | None, typer.Option(help="Use only the runs of models with this many parameters.")] = None,
    natural: Annotated[Path | None, typer.Option(help="Mixture file (domain: weight) to compare with.")] = None,
    max_epochs: Annotated[
        float | None, typer.Option(help="Most passes over a domain's text at the target.", hidden=True)
    ] = None,
    available: Annotated[
        Path | None, typer.Option(help="YAML or JSON file of the tokens that there are (domain: count).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for recommendation.json and pictures [results/recommend/RUNS].")
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw pictures.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    from mixopt.methods.intervals import bounded
    from mixopt.methods.registry import method_named
    from mixopt.mixture import Mixture
    from mixopt.objective import parse_objective
    from mixopt.report.recommendation import print_recommendation, save_recommendation
    from mixopt.store.runs_csv import only_needed, read_runs
    from mixopt.study.config import method_settings
    from mixopt.units import parse_count

    found = method_named(method, "--method")
    given = {name.removeprefix("method."): value for name, value in options.items() if value is not None}
    settings = method_settings({**given, "name": method}, "recommend", options)
    history, notes = read_runs(runs, metrics, parse_count(tokens) if tokens else None)
    if params is not None:
        history = _of_size(history, parse_count(params, "params"))
    names = (settings.objective, *(getattr(settings, "pareto", None) or ()))
    objectives = [parse_objective(name) for name in names]
    history = only_needed(history, objectives)
    problem = _problem(
        history,
        Mixture.from_file(natural) if natural else None,
        max_epochs,
        _available(max_epochs, settings.target_tokens, available, needed=method != "autoscale"),
    )
    recommendation = bounded(found.searcher(problem, settings).recommend(history), objectives[0], history)
    folder = out or Path("results") / "recommend" / runs.stem
    written = save_recommendation(recommendation, found, folder, plots)
    for note in notes:
        print(f"mixopt: note: {note}", file=sys.stderr)
    if as_json:
        typer.echo(json.dumps(recommendation.to_dict(), allow_nan=False))
        return
    print_recommendation(recommendation, found)
    typer.echo("\n" + "\n".join(f"wrote {path}" for path in written))


def recommend(options: dict[str, Any], given: dict[str, Any]) -> bool:  # noqa: ARG001
    """Recommend a mixture from a table of finished runs, whoever trained them.

    `--method autoscale` finds the scales by their base runs, two or more.

    Example: `mixopt recommend --runs runs.csv --natural natural.yaml`

    Example: `mixopt recommend --runs ratios.csv --metrics metrics.csv --tokens 1B --method auto`
    """
    return False


def command(arguments: Sequence[str]) -> Callable[..., None]:
    """The command with the flags of the method that `arguments` ask for.

    Raises:
        ConfigError: they name no method, or a flag of another one.
    """
    from mixopt.cli.method_flags import asked_method, check_flags, command_of
    from mixopt.methods.registry import method_named

    method = method_named(asked_method(arguments, DEFAULT), "--method")
    made = command_of(_run, method, recommend, trains=False)
    check_flags(made, method, arguments)
    return made


def _problem(
    history: History, natural: Mixture | None, max_epochs: float | None, corpus: dict[str, int] | None
) -> Problem:
    """A table of runs as a problem: its sizes and lengths are those that there are."""
    import numpy as np

    from mixopt.methods.problem import Problem, Size

    scales = {
        (int(size), round(float(tokens))): None for size, tokens in zip(history.parameters, history.tokens, strict=True)
    }
    sizes = sorted(scales, key=lambda scale: (scale[0] * scale[1], scale))
    return Problem(
        domains=history.domains,
        natural=natural,
        tokens=round(float(np.median(history.tokens))),
        corpus=corpus,
        max_epochs=max_epochs,
        measured=history.eval_domains,
        sizes=tuple(Size(None, size, tokens, 6.0 * size * tokens) for size, tokens in sizes),
        history=history,
    )


def _of_size(history: History, parameters: int) -> History:
    from mixopt.errors import ConfigError

    chosen = history.select(history.parameters == parameters)
    if not len(chosen):
        sizes = ", ".join(str(size) for size in sorted(set(history.parameters.tolist())))
        raise ConfigError(f"--params: no run has {parameters} parameters; the runs have {sizes}")
    return chosen


def _available(
    max_epochs: float | None, target_tokens: int | None, available: Path | None, *, needed: bool
) -> dict[str, int] | None:
    """Tokens that there are, from three options that need each other; `needed` if the target says no more."""
    from mixopt.errors import ConfigError
    from mixopt.files import read_mapping
    from mixopt.units import parse_count

    if max_epochs is None and available is None and (target_tokens is None or not needed):
        return None
    if target_tokens is None or available is None:
        missing = "--target-tokens" if target_tokens is None else "--available"
        raise ConfigError(f"{missing} is missing: epochs are counted from --target-tokens and --available together")
    counts = read_mapping(available, f"--available {available}", "`domain: tokens` lines")
    return {domain: parse_count(count, f"{available}: {domain}") if count else 0 for domain, count in counts.items()}
