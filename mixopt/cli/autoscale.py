"""`mixopt autoscale --from-optima`: optima found elsewhere, carried on to the target; nothing is trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mixopt.cli import common

_WITH_OPTIMA = ("method.target_tokens", "method.floor", "results", "quiet", "as_json")


def autoscale(
    options: dict[str, Any],
    given: dict[str, Any],
    from_optima: Annotated[
        Path | None,
        common.flag(
            "--from-optima", "CSV of optima found elsewhere (tokens, w.DOMAIN): train nothing, geometric law alone."
        ),
    ] = None,
    pinned: Annotated[
        str | None, typer.Option(help="With --from-optima: domains that sat at a bound, NAME,NAME.", hidden=True)
    ] = None,
) -> bool:
    """Find the best mixture for a target that is too long to search at: DDO at smaller scales, extrapolated.

    Trains DDO's runs at two or more scales (those that the table has are used again), carries the optima on to the
    target by two predictors, and says how sure each is. Stop it whenever you like: the same command goes on.

    Example: `mixopt autoscale --target 10M --scales 200k,800k --data data/ --seeds 3`

    Example: `mixopt autoscale --target 10B --from-optima optima.csv`
    """
    from mixopt.errors import ConfigError

    if from_optima is None:
        if pinned is not None:
            raise ConfigError("--pinned: it says which optima of --from-optima FILE sat at a bound; DDO knows its own")
        return False
    for name, value in {**options, **given}.items():
        # Most of what else may be given would be passed over in silence.
        if value not in (None, False) and name not in _WITH_OPTIMA:
            what = value if name == "study_file" else f"--{name.removeprefix('method.').replace('_', '-')}"
            raise ConfigError(
                f"--from-optima: nothing is trained, so {what} has no meaning; expected --target, --pinned, "
                "--floor, --results only"
            )
    _from_optima(from_optima, pinned, options, given["results"] or "results", as_json=given["as_json"])
    return True


def _from_optima(path: Path, pinned: str | None, options: dict[str, Any], results: str, *, as_json: bool) -> None:
    from mixopt.errors import ConfigError
    from mixopt.methods.autoscale.method import AUTOSCALE
    from mixopt.methods.autoscale.optima import extrapolate_optima, read_optima
    from mixopt.report.console import page
    from mixopt.report.recommendation import print_recommendation, save_recommendation
    from mixopt.units import parse_count

    target, floor = options["method.target_tokens"], options["method.floor"]
    if target is None:
        raise ConfigError("autoscale: expected the tokens that the mixture is for, such as --target 10B; found none")
    optima, notes = read_optima(path)
    names = [name.strip() for name in pinned.split(",")] if pinned is not None else []
    recommendation = extrapolate_optima(optima, parse_count(target, "--target"), names, floor or 0.0)
    folder = Path(results) / "recommend" / path.stem
    files = save_recommendation(recommendation, AUTOSCALE, folder)
    for note in notes:
        print(f"mixopt: note: {note}", file=sys.stderr)
    if as_json:
        content = {**recommendation.to_dict(), "files": [str(file) for file in files]}
        typer.echo(json.dumps(content, allow_nan=False))
        return
    console = page()
    print_recommendation(recommendation, AUTOSCALE, console)
    common.print_files(files, console)
