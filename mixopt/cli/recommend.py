"""`mixopt recommend`: a mixture from anybody's table of runs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixopt.cli.common import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.history import History
    from mixopt.methods.base import Searcher
    from mixopt.mixture import Mixture
    from mixopt.solve import Supply


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a method may be told, besides the runs."""

    fit: str
    preset: str
    objective: str
    floor: str | None
    supply: Supply | None
    baselines: dict[str, Mixture]
    target: int | None
    predictor: str
    kl: float
    pareto: str | None


def _ddo(history: History, options: Options) -> Searcher:
    from mixopt.errors import ConfigError
    from mixopt.methods.ddo.design import find_design
    from mixopt.methods.ddo.joint_searcher import JointDdo
    from mixopt.methods.ddo.searcher import Ddo, DdoSettings
    from mixopt.objective import parse_objective

    kinds = {"lines": Ddo, "joint": JointDdo}
    if options.fit not in kinds:
        raise ConfigError(f"fit: expected lines or joint, found {options.fit!r}")
    design = find_design(history)
    settings = DdoSettings(
        factors=design.factors,
        perturb=design.perturb,
        objective=parse_objective(options.objective),
        seeds=None,
        preset=options.preset,
        floor=options.floor,
        supply=options.supply,
    )
    return kinds[options.fit](design.reference, design.tokens, settings, options.baselines)


def _autoscale(history: History, options: Options) -> Searcher:
    from mixopt.errors import ConfigError
    from mixopt.methods.autoscale.searcher import AutoScale
    from mixopt.methods.ddo.design import find_designs
    from mixopt.methods.ddo.searcher import DdoSettings
    from mixopt.objective import parse_objective
    from mixopt.units import format_count

    if options.fit != "lines":
        raise ConfigError(
            f"fit: autoscale has both; choose with --predictor geometric or joint, not {options.fit!r}"
        )
    if options.target is None:
        raise ConfigError("--target is missing: autoscale needs the tokens that the mixture is for, such as 10B")
    designs = find_designs(history)
    if len(designs) < 2:
        raise ConfigError(
            f"history: autoscale needs DDO's runs at two scales or more, found those around one base run of "
            f"{format_count(designs[0].tokens)} tokens; a scale without its base, or without any run of some "
            "domain, is not recognised"
        )
    settings = DdoSettings(
        objective=parse_objective(options.objective),
        seeds=None,
        preset=options.preset,
        floor=options.floor,
        supply=options.supply,
    )
    return AutoScale(designs, options.target, settings, predictor=options.predictor, baselines=options.baselines)


def _one_shot(name: str | None) -> Callable[[History, Options], Searcher]:
    """Set up a one-shot search whose swarm is there; None for no law."""

    def method(history: History, options: Options) -> Searcher:
        import numpy as np

        from mixopt.errors import ConfigError
        from mixopt.methods.swarm.fit import regressors_of
        from mixopt.methods.swarm.runs import check_duplicates
        from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
        from mixopt.mixture import Mixture
        from mixopt.objective import parse_objective, parse_pair

        check_duplicates(history)
        natural = options.baselines.get("natural")
        if options.kl > 0 and natural is None:
            raise ConfigError(
                "--natural is missing: --kl pulls towards the natural mixture, which a table does not tell"
            )
        uniform = Mixture.uniform(history.domains)
        settings = OneShotSettings(
            regressors=None if name is None else regressors_of(name),
            objective=parse_objective(options.objective),
            floor=options.floor or 0.0,
            supply=options.supply,
            kl=options.kl,
            pareto=parse_pair(options.pareto.split(",")) if options.pareto else None,
        )
        tokens = round(float(np.median(history.tokens)))
        return OneShot(natural or uniform, tokens, settings, {**options.baselines, "uniform": uniform})

    return method


# A method is a line here: a searcher set up for the runs.
METHODS: dict[str, Callable[[History, Options], Searcher]] = {
    "ddo": _ddo,
    "autoscale": _autoscale,
    **{name: _one_shot(name) for name in ("auto", "loglinear", "mixing-law", "regmix", "gp")},
    "random": _one_shot(None),
}


def recommend(
    runs: Annotated[
        Path,
        typer.Option(
            help="CSV with columns run, tokens, seed, params, w.DOMAIN, loss.DOMAIN or ppl.DOMAIN; or ratios.csv."
        ),
    ],
    method: Annotated[
        str, typer.Option(help="ddo, autoscale, auto, loglinear, mixing-law, regmix, gp, or random (the best run).")
    ] = "ddo",
    metrics: Annotated[Path | None, typer.Option(help="Olmix's metrics.csv, joined on the run.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens of every run, for files without that column.")] = None,
    params: Annotated[
        str | None, typer.Option(help="Use only the runs of models with this many parameters.")
    ] = None,
    fit: Annotated[
        str, typer.Option(help="lines (a law of each domain's own runs) or joint (laws of all runs at once).")
    ] = "lines",
    preset: Annotated[str, typer.Option(help="How laws are fitted: default, paper or official.")] = "default",
    objective: Annotated[str, typer.Option(help=OBJECTIVES)] = "mean_ppl",
    floor: Annotated[
        str | None,
        typer.Option(help="Least weight of a domain: 0.02, or 0.2x of uniform [the least amount tested]."),
    ] = None,
    natural: Annotated[Path | None, typer.Option(help="Mixture file (domain: weight) to compare with.")] = None,
    max_epochs: Annotated[
        float | None, typer.Option(help="Most passes over a domain's text at the target.")
    ] = None,
    target_tokens: Annotated[
        str | None,
        typer.Option("--target-tokens", "--target", help="Tokens of the training that the mixture is for."),
    ] = None,
    predictor: Annotated[
        str, typer.Option(help="Autoscale's: geometric, joint, or auto (the better one on what it has not seen).")
    ] = "auto",
    kl: Annotated[
        float,
        typer.Option(help="Pull towards the natural mixture, in spreads of the objective (not ddo, autoscale)."),
    ] = 0.0,
    pareto: Annotated[
        str | None, typer.Option(help="Two objectives to trade off, such as mean_loss,worst (not ddo, autoscale).")
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
    """Recommend a mixture from a table of finished runs, whoever trained them.

    `--method autoscale` finds the scales by their base runs, two or more.

    Example: `mixopt recommend --runs runs.csv --natural natural.yaml`

    Example: `mixopt recommend --runs ratios.csv --metrics metrics.csv --tokens 1B --method auto`
    """
    import difflib

    from mixopt.errors import ConfigError
    from mixopt.methods.task_advice import bounded
    from mixopt.mixture import Mixture
    from mixopt.objective import parse_objective
    from mixopt.report.recommendation import print_recommendation, save_recommendation
    from mixopt.store.runs_csv import read_runs
    from mixopt.store.score_columns import only_needed
    from mixopt.units import parse_count

    if method not in METHODS:
        near = difflib.get_close_matches(method, METHODS, n=1, cutoff=0.4)
        raise ConfigError(f"--method: expected {', '.join(near or METHODS)}, found {method!r}")
    history, notes = read_runs(runs, metrics, parse_count(tokens) if tokens else None)
    if params is not None:
        history = _of_size(history, parse_count(params, "params"))
    options = Options(
        fit=fit,
        preset=preset,
        objective=objective,
        floor=floor,
        supply=_supply(max_epochs, target_tokens, available, needed=method != "autoscale"),
        baselines={"natural": Mixture.from_file(natural)} if natural else {},
        target=parse_count(target_tokens, "--target") if target_tokens else None,
        predictor=predictor,
        kl=kl,
        pareto=pareto,
    )
    objectives = [parse_objective(name.strip()) for name in (objective, *(pareto.split(",") if pareto else ()))]
    history = only_needed(history, objectives)
    recommendation = bounded(METHODS[method](history, options).recommend(history), objectives[0], history)
    folder = out or Path("results") / "recommend" / runs.stem
    written = save_recommendation(recommendation, folder, plots)
    for note in notes:
        print(f"mixopt: note: {note}", file=sys.stderr)
    if as_json:
        typer.echo(json.dumps(recommendation.to_dict(), allow_nan=False))
        return
    print_recommendation(recommendation)
    typer.echo("\n" + "\n".join(f"wrote {path}" for path in written))


def _of_size(history: History, parameters: int) -> History:
    from mixopt.errors import ConfigError

    chosen = history.select(history.parameters == parameters)
    if not len(chosen):
        sizes = ", ".join(str(size) for size in sorted(set(history.parameters.tolist())))
        raise ConfigError(f"--params: no run has {parameters} parameters; the runs have {sizes}")
    return chosen


def _supply(
    max_epochs: float | None, target_tokens: str | None, available: Path | None, *, needed: bool
) -> Supply | None:
    """What there is to train on, from three options that need each other; `needed` if the target says no more."""
    from mixopt.errors import ConfigError
    from mixopt.solve import Supply
    from mixopt.units import parse_count

    if max_epochs is None and available is None and (target_tokens is None or not needed):
        return None
    if target_tokens is None or available is None:
        missing = "--target-tokens" if target_tokens is None else "--available"
        raise ConfigError(f"{missing} is missing: epochs are counted from --target-tokens and --available together")
    counts = {
        domain: parse_count(count, f"{available}: {domain}") if count else 0
        for domain, count in _mapping(available).items()
    }
    return Supply(counts, parse_count(target_tokens, "--target-tokens"), max_epochs)


def _mapping(path: Path) -> dict[str, Any]:
    import yaml

    from mixopt.errors import ConfigError

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--available {path}: cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"--available {path}: expected `domain: tokens` lines, found {content!r:.60}")
    return {str(domain): count for domain, count in content.items()}
