"""`mixopt doremi`: DoReMi's mixture, from a reference run and a proxy that is held against it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mixopt.cli import common
from mixopt.cli.answer import answer_of

if TYPE_CHECKING:
    from mixopt.execute.base import Executor
    from mixopt.methods.base import Recommendation
    from mixopt.report.progress import Watch
    from mixopt.store import Store
    from mixopt.study import Study
    from mixopt.study.doremi import DoremiStudy


def doremi(
    study_file: common.StudyFile = None,
    data: common.Data = None,
    model: common.Model = None,
    tokens: Annotated[str | None, common.flag("--tokens", "Training tokens of each run, such as 10M.")] = None,
    seeds: Annotated[
        int | None, common.flag("--seeds", "Repeats of every run; two or more give intervals.")
    ] = None,
    reference: Annotated[
        str | None,
        common.flag("--reference", "Mixture of the first reference run: natural, uniform or FILE [natural]."),
    ] = None,
    sampling: Annotated[
        str | None, common.flag("--sampling", "Mixture that proxies draw: uniform, natural or FILE [uniform].")
    ] = None,
    eta: Annotated[
        float | None, common.flag("--eta", "Rate of the domain weights; 0.1 where they collapse to one domain [1].")
    ] = None,
    smoothing: Annotated[
        float | None, common.flag("--smoothing", "Share of the uniform distribution in every weight [1e-3].")
    ] = None,
    rounds: Annotated[
        int | None,
        common.flag("--rounds", "Most rounds; they end when no weight changes by 1e-3 [1 from natural, else 3]."),
    ] = None,
    objective: Annotated[
        str | None,
        common.flag("--objective", f"What --verify compares: {common.OBJECTIVES}"),
    ] = None,
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
    """Find DoReMi's mixture: weigh domains by how far a proxy is behind a reference.

    Each round trains a reference model, and a proxy in whose loss the domains with the greatest excess over the
    reference's weigh more and more (Group DRO); the weights' average is the answer. Further rounds take the last
    answer for their reference. Stop it whenever you like: the same command goes on.

    Example: `mixopt doremi --data data/ --model gpt2-0.4m --tokens 4M --seeds 3`

    Example: `mixopt doremi study.yaml --reference uniform --rounds 3 --eta 0.1 --verify`
    """
    from mixopt.study import Study, StudyConfig
    from mixopt.study.doremi import DoremiStudy, run_doremi

    flags: dict[str, Any] = {
        "method.name": "doremi",
        "data.dir": data,
        "model.preset": model,
        "training.tokens": tokens,
        "training.max_epochs": max_epochs,
        "method.seeds": seeds,
        "method.reference": reference,
        "method.sampling": sampling,
        "method.eta": eta,
        "method.smoothing": smoothing,
        "method.rounds": rounds,
        "method.objective": objective,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "results": results,
        "tracking.to": track or None,
        **common.parse_settings(settings),
    }
    study = Study.of(StudyConfig.load(study_file, flags))
    asked = DoremiStudy(study)
    if dry_run:
        _print_plan(study, asked, as_json=as_json)
        return

    def find(store: Store, executor: Executor, watch: Watch) -> Recommendation:
        return run_doremi(study, asked, store, executor, watch)

    answer_of(study, find, verify=verify, quiet=quiet, as_json=as_json)


def _print_plan(study: Study, asked: DoremiStudy, *, as_json: bool) -> None:
    """The rounds whose runs are known, and how many more there may be."""
    from mixopt.report.console import page
    from mixopt.store import Store

    there = (Path(study.config.results) / "mixopt.db").exists()
    with Store(study.config.results, read_only=True) if there else nullcontext() as store:
        rounds = list(asked.known(store))
    runs = [run for one in rounds for run in (*one.references, *one.proxies)]
    common.print_cost(study, runs, as_json=as_json)
    left = asked.settings.rounds - len(rounds)
    if left and not as_json:
        more = "1 more round" if left == 1 else f"{left} more rounds"
        page().print(f"up to {more} of as many runs may follow, until no weight changes by 1e-3", highlight=False)
