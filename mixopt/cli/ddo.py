"""`mixopt ddo`: the best mixture at one scale, from text to recommendation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.search.base import Recommendation
    from mixopt.study import Study
    from mixopt.study.verify import Verification

_STUDY, _WHERE, _OUTPUT = "The study", "Where it runs", "Output"


def _flag(names: str, text: str, panel: str = _STUDY) -> Any:
    return typer.Option(*names.split(), help=text, rich_help_panel=panel, show_default=False)


def ddo(
    study_file: Annotated[
        str | None, typer.Argument(metavar="STUDY.yaml", help="A study file (`mixopt init` writes one).")
    ] = None,
    data: Annotated[str | None, _flag("--data", "Folder of prepared data.")] = None,
    model: Annotated[str | None, _flag("--model", "Preset of the proxy model, such as gpt2-0.4m.")] = None,
    tokens: Annotated[str | None, _flag("--tokens", "Training tokens of the base run, such as 800k.")] = None,
    factors: Annotated[str | None, _flag("--factors", "Multiples of each domain's tokens, such as 1/3,3.")] = None,
    seeds: Annotated[int | None, _flag("--seeds", "Repeats of every run.")] = None,
    reference: Annotated[str | None, _flag("--reference", "Base mixture: uniform, natural or FILE.")] = None,
    objective: Annotated[str | None, _flag("--objective", "mean_ppl, mean_loss, worst or weighted:FILE.")] = None,
    perturb: Annotated[str | None, _flag("--perturb", "add (the total changes) or replace (it is held).")] = None,
    preset: Annotated[str | None, _flag("--preset", "How laws are fitted: default, paper or official.")] = None,
    floor: Annotated[
        str | None, _flag("--floor", "Least weight of a domain: 0.02, or 0.2x of uniform [what was tested].")
    ] = None,
    max_epochs: Annotated[float | None, _flag("--max-epochs", "Most repetitions of a domain's tokens.")] = None,
    target_tokens: Annotated[
        str | None, _flag("--target-tokens", "Tokens of the final training, for the cap on epochs.")
    ] = None,
    settings: Annotated[
        list[str] | None, _flag("--set", "Any key of a study file: --set model.layers=6 (repeatable).")
    ] = None,
    executor: Annotated[str | None, _flag("--executor", "ray, or inline (one run at a time).", _WHERE)] = None,
    ray_address: Annotated[str | None, _flag("--ray-address", "A Ray cluster, host:port.", _WHERE)] = None,
    cpus_per_run: Annotated[int | None, _flag("--cpus-per-run", "CPUs, and threads, of a run.", _WHERE)] = None,
    gpus_per_run: Annotated[
        float | None, _flag("--gpus-per-run", "GPUs of a run; fractions share one.", _WHERE)
    ] = None,
    results: Annotated[str | None, _flag("--results", "Folder of the results table.", _WHERE)] = None,
    dry_run: Annotated[bool, _flag("--dry-run", "Print the plan and its cost; train nothing.", _OUTPUT)] = False,
    verify: Annotated[
        bool, _flag("--verify", "Train the recommended mixture and the baselines (3 seeds), and compare.", _OUTPUT)
    ] = False,
    quiet: Annotated[bool, _flag("--quiet -q", "No progress.", _OUTPUT)] = False,
    as_json: Annotated[bool, _flag("--json", "Print one JSON object on standard output.", _OUTPUT)] = False,
) -> None:
    """Find the best mixture at one scale: perturb each domain, fit, solve.

    Trains one proxy on the reference mixture and two for each domain (three times its tokens, and a third), fits a
    law to each domain, and solves for the best mixture. Stop it whenever you like: the same command goes on.

    Example: `mixopt ddo --data data/ --model gpt2-0.4m --tokens 800k --seeds 3`
    """
    from mixopt.study import Study, StudyConfig

    flags: dict[str, Any] = {
        "data.dir": data,
        "model.preset": model,
        "training.tokens": tokens,
        "training.max_epochs": max_epochs,
        "method.factors": factors,
        "method.seeds": seeds,
        "method.reference": reference,
        "method.objective": objective,
        "method.perturb": perturb,
        "method.preset": preset,
        "method.floor": floor,
        "method.target_tokens": target_tokens,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "results": results,
        **_settings(settings or []),
    }
    study = Study.of(StudyConfig.load(study_file, flags))
    if dry_run:
        _dry_run(study, as_json=as_json)
    else:
        _run(study, verify=verify, quiet=quiet, as_json=as_json)


def _settings(pairs: list[str]) -> dict[str, Any]:
    """`model.layers=6` and the like, each value read as YAML."""
    import yaml

    from mixopt.errors import ConfigError

    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set: expected KEY=VALUE such as model.layers=6, found {pair!r}")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: {value!r} is not a YAML value") from error
    return found


def _dry_run(study: Study, *, as_json: bool) -> None:
    from contextlib import nullcontext

    from mixopt.report.console import page
    from mixopt.store import Store
    from mixopt.study.ddo import ddo_searcher
    from mixopt.study.plan import make_plan
    from mixopt.study.tables import print_plan

    there = (Path(study.config.results) / "mixopt.db").exists()
    opened = Store(study.config.results, read_only=True) if there else nullcontext()
    with opened as store, study.executor() as executor:
        plan = make_plan(study, ddo_searcher(study), store, executor)
    if as_json:
        typer.echo(json.dumps(plan.to_dict()))
    else:
        print_plan(plan, page())


def _run(study: Study, *, verify: bool, quiet: bool, as_json: bool) -> None:
    from rich.console import Console

    from mixopt.report.console import page
    from mixopt.report.progress import Live, Quiet
    from mixopt.report.recommendation import distinct, print_recommendation, save_recommendation
    from mixopt.store import Store
    from mixopt.study.ddo import ddo_searcher
    from mixopt.study.loop import run_study
    from mixopt.study.verify import verify as verify_recommendation

    watch = Quiet() if quiet else Live(Console(stderr=True))
    searcher = ddo_searcher(study)
    verification = None
    with Store(study.config.results) as store, study.executor() as executor:
        recommendation = run_study(study, searcher, store, executor, watch)
        folder = store.folder / "studies" / study.study_id
        files = save_recommendation(recommendation, folder, searcher.baselines)
        if verify:
            verification = verify_recommendation(
                study,
                recommendation,
                searcher.settings.objective,
                distinct(searcher.baselines),
                store,
                executor,
                watch,
            )
            files.append(_save_verification(verification, folder))
    if as_json:
        typer.echo(json.dumps(_as_json(recommendation, verification, study, files)))
        return
    console = page()
    print_recommendation(recommendation, searcher.baselines, console)
    if verification:
        from mixopt.study.tables import print_verification

        print_verification(verification, console)
    _print_files(files, console)


def _as_json(
    recommendation: Recommendation, verification: Verification | None, study: Study, files: list[Path]
) -> dict[str, Any]:
    verified = {"verification": verification.to_dict()} if verification else {}
    return {**recommendation.to_dict(), **verified, "study": study.study_id, "files": [str(file) for file in files]}


def _save_verification(verification: Verification, folder: Path) -> Path:
    from mixopt.data.files import write_atomic

    path = folder / "verification.json"
    write_atomic(path, json.dumps(verification.to_dict(), indent=2) + "\n")
    return path


def _print_files(files: list[Path], console: Console) -> None:
    console.print()
    for file in files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)
