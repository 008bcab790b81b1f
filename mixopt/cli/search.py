"""`mixopt search` and `mixopt grid`: train a swarm of mixtures, fit, recommend."""

from __future__ import annotations

from typing import Annotated, Any

from mixopt.cli import common
from mixopt.cli.answer import answer

SWARM, ADVICE, SEQUENCE = "The swarm", "The recommendation", "One run after the other (adso)"

Tokens = Annotated[str | None, common.flag("--tokens", "Training tokens of every run, such as 800k.")]
TargetTokens = Annotated[
    str | None,
    common.flag("--target-tokens --target", "Tokens of the final training, for the cap on epochs.", ADVICE),
]
Floor = Annotated[
    str | None, common.flag("--floor", "Least weight of a domain: 0.02, or 0.2x of uniform [0].", SWARM)
]
MaxEpochs = Annotated[
    float | None,
    common.flag("--max-epochs", "Most repetitions of a domain's tokens, in runs and at the target.", SWARM),
]
Regressor = Annotated[
    str | None,
    common.flag(
        "--regressor", "Recommend the optimum of a law such as loglinear or auto [the best measured].", ADVICE
    ),
]
Kl = Annotated[
    float | None, common.flag("--kl", "Pull towards the natural mixture, in spreads of the objective [0].", ADVICE)
]
Pareto = Annotated[
    str | None, common.flag("--pareto", "Two objectives to trade off, such as mean_loss,worst.", ADVICE)
]


def search(
    study_file: common.StudyFile = None,
    method: Annotated[
        str | None,
        common.flag("--method", "random, regmix, mixing-law, loglinear, gp, auto, ddo, adso [auto]."),
    ] = None,
    runs: Annotated[
        int | None, common.flag("--runs", "Mixtures to train [four a domain, 16 or more].", SWARM)
    ] = None,
    design: Annotated[
        str | None, common.flag("--design", "dirichlet, two-level, sobol or lattice [dirichlet].", SWARM)
    ] = None,
    strengths: Annotated[
        str | None, common.flag("--strengths", "Least and greatest sum of Dirichlet parameters [0.1,5].", SWARM)
    ] = None,
    data: common.Data = None,
    model: common.Model = None,
    tokens: Tokens = None,
    seeds: common.Seeds = None,
    objective: common.ObjectiveName = None,
    floor: Floor = None,
    max_epochs: MaxEpochs = None,
    extend: Annotated[
        str | None,
        common.flag("--extend", "A finished study whose mixture is kept, while new domains are added.", SWARM),
    ] = None,
    regressor: Regressor = None,
    kl: Kl = None,
    pareto: Pareto = None,
    target_tokens: TargetTokens = None,
    budget: Annotated[
        str | None, common.flag("--budget", "Most to spend, in runs at the target, such as 3x [10].", SEQUENCE)
    ] = None,
    sizes: Annotated[
        str | None, common.flag("--sizes", "Models to train, such as gpt2-0.2m,gpt2-0.4m [--model].", SEQUENCE)
    ] = None,
    scales: Annotated[
        str | None,
        common.flag(
            "--scales", "Tokens to train for, such as 200k,800k [a 16th, a 4th, all of --tokens].", SEQUENCE
        ),
    ] = None,
    batch: Annotated[int | None, common.flag("--batch", "Runs chosen at once [1].", SEQUENCE)] = None,
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
    """Train a swarm of mixtures, learn each domain's loss from them, and recommend the best mixture.

    The law is checked on runs that it has not seen, and nothing is recommended from one that predicts no better
    than the mean. Stop it whenever you like: the same command goes on, and more `--runs` keep those that there are.

    Example: `mixopt search --data data/ --method loglinear --runs 64 --tokens 800k`

    Example: `mixopt search --data data/ --method adso --sizes gpt2-0.2m,gpt2-0.4m --scales 200k,3M --budget 5x`

    Example: `mixopt search study.yaml --extend 3f2a91 --runs 16` after a domain was added to the data
    """
    flags = {
        "method.name": method,
        "method.runs": runs,
        "method.design": design,
        "method.strengths": strengths,
        "method.extend": extend,
        "data.dir": data,
        "model.preset": model,
        "training.tokens": tokens,
        "training.max_epochs": max_epochs,
        "method.seeds": seeds,
        "method.objective": objective,
        "method.floor": floor,
        "method.regressor": regressor,
        "method.kl": kl,
        "method.pareto": pareto,
        "method.target_tokens": target_tokens,
        "method.budget": budget,
        "method.sizes": sizes,
        "method.scales": scales,
        "method.batch": batch,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "results": results,
        "tracking.to": track or None,
        **common.parse_settings(settings),
    }
    _search(study_file, flags, dry_run=dry_run, verify=verify, quiet=quiet, as_json=as_json)


def grid(
    study_file: common.StudyFile = None,
    step: Annotated[
        float | None, common.flag("--step", "Step of the weights, such as 0.1: every mixture of them.", SWARM)
    ] = None,
    count: Annotated[
        int | None, common.flag("--count", "The finest lattice of at most so many mixtures [four a domain].", SWARM)
    ] = None,
    data: common.Data = None,
    model: common.Model = None,
    tokens: Tokens = None,
    seeds: common.Seeds = None,
    objective: common.ObjectiveName = None,
    floor: Floor = None,
    max_epochs: MaxEpochs = None,
    regressor: Regressor = None,
    kl: Kl = None,
    pareto: Pareto = None,
    target_tokens: TargetTokens = None,
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
    """Train every mixture of a lattice, and recommend the best.

    Floors and caps are respected; the natural and the uniform mixture are trained besides, to compare with.

    Example: `mixopt grid --data data/ --step 0.25 --tokens 800k`

    Example: `mixopt grid --data data/ --count 60 --regressor auto`
    """
    flags = {
        "method.name": "grid",
        "method.step": step,
        "method.runs": count,
        "data.dir": data,
        "model.preset": model,
        "training.tokens": tokens,
        "training.max_epochs": max_epochs,
        "method.seeds": seeds,
        "method.objective": objective,
        "method.floor": floor,
        "method.regressor": regressor,
        "method.kl": kl,
        "method.pareto": pareto,
        "method.target_tokens": target_tokens,
        "executor.kind": executor,
        "executor.ray_address": ray_address,
        "executor.cpus_per_run": cpus_per_run,
        "executor.gpus_per_run": gpus_per_run,
        "results": results,
        "tracking.to": track or None,
        **common.parse_settings(settings),
    }
    _search(study_file, flags, dry_run=dry_run, verify=verify, quiet=quiet, as_json=as_json)


def _search(
    study_file: str | None, flags: dict[str, Any], *, dry_run: bool, verify: bool, quiet: bool, as_json: bool
) -> None:
    from mixopt.methods.adso.figures import ladder_table
    from mixopt.methods.adso.searcher import Adso
    from mixopt.report.console import page, print_table
    from mixopt.study import Study
    from mixopt.study.search import search_config, searcher_of

    study = Study.of(search_config(study_file, flags))
    searcher = searcher_of(study)
    if dry_run:
        if isinstance(searcher, Adso) and not as_json:
            print_table(ladder_table(searcher.ladder), page())
            budget, batch = searcher.settings.budget, searcher.settings.batch
            page().print(f"budget: {budget:g} target runs, {batch} at a time; it begins with", highlight=False)
        common.print_dry_run(study, searcher, as_json=as_json)
    else:
        answer(study, searcher, verify=verify, quiet=quiet, as_json=as_json)
