"""The commands that search for a mixture: `ddo`, `autoscale`, `grid`, `doremi`, and `search` for every method.

One function runs them all; what differs is the method, whose settings are the command's flags.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixopt.cli import common
from mixopt.cli.autoscale import autoscale

if TYPE_CHECKING:
    from mixopt.methods.base import Recommendation, Searcher
    from mixopt.study import Study
    from mixopt.study.verify import Verification


def answer(study: Study, searcher: Searcher, *, verify: bool, quiet: bool, as_json: bool) -> None:
    """Run a study to its recommendation, and print and save that."""
    from rich.console import Console

    from mixopt.execute.base import Quiet
    from mixopt.report.console import page
    from mixopt.report.progress import Live
    from mixopt.report.recommendation import baselines_of, print_recommendation, save_recommendation
    from mixopt.store import Store
    from mixopt.study.loop import run_study
    from mixopt.study.verify import verify as verify_recommendation

    watch = Quiet() if quiet else Live(Console(stderr=True))
    verification = None
    with Store(study.config.results) as store, study.executor() as executor:
        recommendation = run_study(study, searcher, store, executor, watch)
        folder = store.folder / "studies" / study.study_id
        files = save_recommendation(recommendation, study.method, folder)
        if verify:
            verification = verify_recommendation(
                study, recommendation, study.objective, baselines_of(recommendation), store, executor, watch
            )
            files.append(_save_verification(verification, folder))
    if as_json:
        typer.echo(json.dumps(_as_json(recommendation, verification, study, files)))
        return
    console = page()
    print_recommendation(recommendation, study.method, console)
    if verification:
        from mixopt.report.verification import print_verification

        print_verification(verification, console)
    common.print_files(files, console)


def _as_json(
    recommendation: Recommendation, verification: Verification | None, study: Study, files: list[Path]
) -> dict[str, Any]:
    verified = {"verification": verification.to_dict()} if verification else {}
    return {**recommendation.to_dict(), **verified, "study": study.study_id, "files": [str(file) for file in files]}


def _save_verification(verification: Verification, folder: Path) -> Path:
    from mixopt.files import write_atomic

    path = folder / "verification.json"
    write_atomic(path, json.dumps(verification.to_dict(), indent=2) + "\n")
    return path


# What `mixopt search` runs where neither `--method` nor the study file says.
DEFAULT = "auto"


def _run(
    study_file: common.StudyFile = None,
    *,
    options: dict[str, Any],
    method: Annotated[
        str | None,
        common.flag("--method", "auto, regmix, adso … or module:Class; the flags below are this method's [auto]."),
    ] = None,
    data: common.Data = None,
    model: common.Model = None,
    tokens: Annotated[str | None, common.flag("--tokens", "Training tokens of a run, such as 800k.")] = None,
    max_epochs: common.MaxEpochs = None,
    settings: common.Settings = None,
    executor: common.ExecutorKind = None,
    ray_address: common.RayAddress = None,
    cpus_per_run: common.CpusPerRun = None,
    gpus_per_run: common.GpusPerRun = None,
    results: common.Results = None,
    track: common.Track = None,
    dry_run: common.DryRun = False,
    verify: common.Verify = False,
    quiet: common.QuietFlag = False,
    as_json: common.AsJson = False,
) -> None:
    from mixopt.study import Study, StudyConfig

    flags = {**options, "training.tokens": tokens, **common.study_flags(locals())}
    study = Study.of(StudyConfig.load(study_file, flags, method=method, default=DEFAULT))
    searcher = study.searcher()
    if dry_run:
        common.print_dry_run(study, searcher, as_json=as_json)
    else:
        answer(study, searcher, verify=verify, quiet=quiet, as_json=as_json)


def ddo(options: dict[str, Any], given: dict[str, Any]) -> bool:  # noqa: ARG001
    """Find the best mixture at one scale: perturb each domain, fit, solve.

    Trains one proxy on the reference mixture and two for each domain (three times its tokens, and a third), fits a
    law to each domain, and solves for the best mixture. Stop it whenever you like: the same command goes on.

    Example: `mixopt ddo --data data/ --model gpt2-0.4m --tokens 800k --seeds 3`
    """
    return False


def grid(options: dict[str, Any], given: dict[str, Any]) -> bool:  # noqa: ARG001
    """Train every mixture of a lattice, and recommend the best.

    Floors and caps are respected; the natural and the uniform mixture are trained besides, to compare with.

    Example: `mixopt grid --data data/ --step 0.25 --tokens 800k`

    Example: `mixopt grid --data data/ --count 60 --regressor auto`
    """
    return False


def doremi(options: dict[str, Any], given: dict[str, Any]) -> bool:  # noqa: ARG001
    """Find DoReMi's mixture: weigh domains by how far a proxy is behind a reference.

    Each round trains a reference model, and a proxy in whose loss the domains with the greatest excess over the
    reference's weigh more and more (Group DRO); the weights' average is the answer. Further rounds take the last
    answer for their reference. Stop it whenever you like: the same command goes on.

    Example: `mixopt doremi --data data/ --model gpt2-0.4m --tokens 4M --seeds 3`

    Example: `mixopt doremi study.yaml --reference uniform --rounds 3 --eta 0.1 --verify`
    """
    return False


def search(options: dict[str, Any], given: dict[str, Any]) -> bool:  # noqa: ARG001
    """Search by any method: a swarm of mixtures and a law (auto, regmix, …), or run by run (adso).

    A law is checked on runs that it has not seen, and nothing is recommended from one that predicts no better than
    the mean. Stop it whenever you like: the same command goes on, and more `--runs` keep those that there are.

    Example: `mixopt search --data data/ --method loglinear --runs 64 --tokens 800k`

    Example: `mixopt search --data data/ --method adso --sizes gpt2-0.2m,gpt2-0.4m --scales 200k,3M --budget 5x`

    Example: `mixopt search study.yaml --extend 3f2a91 --runs 16` after a domain was added to the data

    Example: `mixopt search --method adso --help` lists the flags of that method
    """
    return False


COMMANDS: dict[str, Callable[..., bool]] = {
    "ddo": ddo, "autoscale": autoscale, "grid": grid, "search": search, "doremi": doremi,
}  # fmt: skip


def command(name: str, arguments: Sequence[str]) -> Callable[..., None]:
    """The command `name` with the flags of the method that `arguments` ask for.

    Raises:
        ConfigError: they name no method, or a flag of another one.
    """
    from mixopt.cli.method_flags import asked_method, check_flags, command_of
    from mixopt.methods.registry import method_named

    searches = name == "search"
    method = method_named(asked_method(arguments, DEFAULT) if searches else name, "--method")
    made = command_of(_run, method, COMMANDS[name], None if searches else {"method": name})
    check_flags(made, method, arguments)
    return made
