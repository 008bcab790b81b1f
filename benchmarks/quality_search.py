"""Which search finds the best mixture for its compute? Every method at equal cost, trained and measured.

    mixopt data demo --out demo/data --vocabulary 1024
    python benchmarks/quality_search.py --data demo/data --out results/quality_search

Each method has `--budget` target runs (in training FLOPs), `--searches` times with other seeds, and spends them as
it is used: `regmix`, `loglinear` and `random` share a Dirichlet swarm of the proxy model and its tokens (`random`
takes the best measured mixture), `grid` trains a lattice of the proxy model for as long as the money goes, `ddo`
perturbs each domain with the target's own model and fewer tokens, `single-fidelity` (Bayesian optimisation) trains
at the target, and `adso` chooses model (of these two) and tokens itself. What each recommends is then trained at
the target with seeds that no search saw, beside uniform and natural, and measured on more validation text. Writes
`searches.json` and `table.md`. Everything is kept in the results table: stopped and run again, it goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quality_search_table import Outcome, write_tables
from rich.console import Console

from mixopt.errors import ConfigError
from mixopt.execute.base import Quiet
from mixopt.history import empty_history
from mixopt.methods.adso.searcher import Adso
from mixopt.methods.base import Proposal
from mixopt.methods.ddo.searcher import Ddo
from mixopt.methods.swarm.searcher import OneShot
from mixopt.mixture import Mixture
from mixopt.objective import parse_objective
from mixopt.report.progress import Live
from mixopt.role import Role
from mixopt.store import Store
from mixopt.study import Study
from mixopt.study.loop import plan_runs, train_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.execute.base import Executor, Job, Watch
    from mixopt.methods.base import Searcher

SWARM = ("regmix", "loglinear", "random")
METHODS = ("adso", *SWARM, "grid", "ddo", "single-fidelity")
BASELINES = ("uniform", "natural")
# Seeds of the final measurements begin here; searches use 0, 1, 2, …
_FRESH = 100


@dataclass(frozen=True)
class Search:
    """One search: a method with one seed.

    Attributes:
        method: name, as on the command line.
        seed: of its draws and of its runs.
        study: what it trains.
        searcher: the search.
    """

    method: str
    seed: int
    study: Study
    searcher: Searcher

    @property
    def curves(self) -> bool:
        """Whether the searcher learns from points of learning curves too."""
        return "curves" in self.searcher.wants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo/data", help="folder of prepared data")
    parser.add_argument("--results", default="results/quality_search", help="folder of the results table")
    parser.add_argument("--out", type=Path, default=Path("results/quality_search"), help="folder of the tables")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--objective", default="mean_ppl")
    parser.add_argument("--model", default="gpt2-0.2m", help="the target's model")
    parser.add_argument("--tokens", type=int, default=400_000, help="the target's tokens")
    parser.add_argument("--proxy-model", default="gpt2-0.2m")
    parser.add_argument("--proxy-tokens", type=int, default=100_000, help="of a run of the swarm")
    parser.add_argument("--adso-scales", help="tokens that adso may train for, such as 64k,128k,256k [its default]")
    parser.add_argument("--budget", type=float, default=8.0, help="of a search, in target runs")
    parser.add_argument("--searches", type=int, default=3, help="searches of each method, with other seeds")
    parser.add_argument("--seeds", type=int, default=3, help="fresh seeds of each mixture at the target")
    parser.add_argument("--validation", type=int, default=16_384, help="tokens a domain of the final measurement")
    parser.add_argument("--executor", default="ray", choices=("ray", "inline"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    target = study_of(options, options.model, options.tokens, validation=options.validation)
    searches = [
        make_search(method, seed, options) for seed in range(options.searches) for method in options.methods.split(",")
    ]
    watch = Quiet() if options.quiet else Live(Console(stderr=True))
    with Store(options.results) as store, target.executor() as executor:
        runs = train_searches(searches, target, store, executor, watch)
        outcomes = [advise(search, runs[search], target, store) for search in searches]
        save(options.out, outcomes)
        baselines = {"uniform": Mixture.uniform(target.domains), "natural": target.natural}
        seeds = range(_FRESH, _FRESH + options.seeds)
        outcomes, measured = measure(target, outcomes, baselines, seeds, store, executor, watch)
    save(options.out, outcomes)
    sys.stdout.write(write_tables(options.out / "table.md", outcomes, measured))


def study_of(options: argparse.Namespace, model: str, tokens: int, *, validation: int = 4096, **method: Any) -> Study:
    """A study of the data with a model, a length and a `method` section."""
    return Study(
        data=options.data,
        model=model,
        tokens=tokens,
        results=options.results,
        method={"objective": options.objective, **method},
        evaluation={"tokens_per_domain": validation, "points": 4, "point_tokens_per_domain": 1024},
        executor={"kind": options.executor, "workers": options.workers, "cpus_per_run": 1, "device": "cpu"},
    )


def make_search(method: str, seed: int, options: argparse.Namespace) -> Search:
    """The search of a method with all of the budget, as its study would set it up but for the seed."""
    model, tokens, budget = options.model, options.tokens, options.budget
    target = study_of(options, model, tokens)
    if method in ("adso", "single-fidelity"):
        sizes = [options.proxy_model, model] if method == "adso" else None
        scales = options.adso_scales if method == "adso" else None
        study = study_of(options, model, tokens, name=method, sizes=sizes, scales=scales, budget=budget)
        searcher = study.searcher()
        assert isinstance(searcher, Adso)
        settings = replace(searcher.settings, seed=seed)
        return Search(method, seed, study, Adso(study.natural, searcher.ladder, settings, {"natural": study.natural}))
    if method == "ddo":
        study = study_of(options, model, affordable(method, model, tokens, target, options), name=method)
        searcher = study.searcher()
        assert isinstance(searcher, Ddo)
        settings = replace(searcher.settings, seeds=(seed,))
        return Search(method, seed, study, Ddo(study.reference, study.tokens, settings, {"natural": study.natural}))
    if method == "grid":
        model = options.proxy_model
        study = study_of(options, model, affordable(method, model, tokens, target, options), name=method)
    else:
        proxy = study_of(options, options.proxy_model, options.proxy_tokens)
        count = int(budget * cost_of(target, target.tokens) / cost_of(proxy, proxy.tokens) + 1e-9)
        study = study_of(options, options.proxy_model, options.proxy_tokens, name=method, runs=count)
    searcher = study.searcher()
    assert isinstance(searcher, OneShot)
    settings = replace(searcher.settings, seeds=(seed,), design=replace(searcher.settings.design, seed=seed))
    return Search(method, seed, study, OneShot(study.natural, study.tokens, settings))


def affordable(method: str, model: str, tokens: int, target: Study, options: argparse.Namespace) -> int:
    """The most tokens (of the base run) with which all runs of a design fit the budget."""
    study = study_of(options, model, tokens, name=method)
    asked = study.searcher().ask(empty_history())
    cost = sum(cost_of(study, proposal.tokens) for proposal in asked)
    batch = study.optim.batch_tokens
    # A run is rounded to whole batches, by half a batch at most.
    most = options.budget * cost_of(target, target.tokens) / cost * study.tokens - batch / 2
    return int(most // batch * batch)


def cost_of(study: Study, tokens: int) -> float:
    """FLOPs of a run."""
    return study.spec(study.natural, tokens, seed=0).flops


def train_searches(
    searches: Sequence[Search], target: Study, store: Store, executor: Executor, watch: Watch
) -> dict[Search, dict[str, Job]]:
    """Do all searches, a round of each at a time, so that no worker waits for one that goes run by run."""
    runs: dict[Search, dict[str, Job]] = {search: {} for search in searches}
    active = list(searches)
    while active:
        wanted: dict[str, Job] = {}
        for search in list(active):
            known = runs[search]
            history = store.history(known, curves=search.curves)
            planned = plan_runs(search.study, search.searcher.ask(history))
            new = {run.spec.run_id: run for run in planned if run.spec.run_id not in known}
            if not new:
                active.remove(search)
            known.update(new)
            wanted |= {
                name: replace(run, role=replace(run.role, words=f"{search.method} {search.seed}: {run.role}"))
                for name, run in new.items()
            }
        if wanted:
            train_missing(target, list(wanted.values()), store, executor, watch)
    return runs


def advise(search: Search, runs: Mapping[str, Job], target: Study, store: Store) -> Outcome:
    """What a search recommends, and what it really spent."""
    unit = cost_of(target, target.tokens)
    done = [store.get(run_id) for run_id in runs if store.has_finished(run_id)]
    at_target = sum(abs(result.flops / unit - 1) < 1e-3 for _, result in done)
    outcome = Outcome(
        method=search.method,
        seed=search.seed,
        runs=len(done),
        at_target=at_target,
        spent=sum(result.flops for _, result in done) / unit,
        scales=_scales(done),
    )
    try:
        advice = search.searcher.recommend(store.history(runs, curves=search.curves))
    except ConfigError as error:
        return replace(outcome, refused=str(error))
    return replace(
        outcome,
        weights=advice.mixture.to_dict(),
        predicted=advice.predicted["recommended"],
        gains={name: gain for name, gain in advice.gains.items() if name in BASELINES},
        scale=advice.method,
    )


def _scales(done: Sequence[tuple[Any, Any]]) -> dict[str, int]:
    """Runs by size and tokens."""
    counts: dict[str, int] = {}
    for spec, result in sorted(done, key=lambda run: run[1].flops):
        name = f"{result.parameters / 1e6:.2g}M x {spec.tokens / 1e3:.0f}k"
        counts[name] = counts.get(name, 0) + 1
    return counts


def measure(
    target: Study,
    outcomes: Sequence[Outcome],
    baselines: Mapping[str, Mixture],
    seeds: Sequence[int],
    store: Store,
    executor: Executor,
    watch: Watch,
) -> tuple[list[Outcome], dict[str, dict[int, float]]]:
    """Train every recommended mixture and the baselines at the target; the objective by training seed."""
    mixtures = {
        outcome.name: Mixture.from_dict(outcome.weights) for outcome in outcomes if outcome.weights is not None
    } | dict(baselines)
    runs = {
        name: plan_runs(target, [Proposal(mixture, target.tokens, seed, Role("verify", name)) for seed in seeds])
        for name, mixture in mixtures.items()
    }
    train_missing(target, [run for some in runs.values() for run in some], store, executor, watch)
    history = store.history(run.spec.run_id for some in runs.values() for run in some)
    values = parse_objective(target.config.method.objective).value(
        history.losses, history.eval_domains, history.domains
    )
    found = dict(zip(history.runs, values.tolist(), strict=True))
    by_seed = {
        name: {run.spec.seed: found[run.spec.run_id] for run in some if run.spec.run_id in found}
        for name, some in runs.items()
    }
    return (
        [replace(outcome, measured=by_seed.get(outcome.name, {})) for outcome in outcomes],
        {name: by_seed[name] for name in baselines},
    )


def save(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """All that is known of each search, as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    content = [outcome.to_dict() for outcome in outcomes]
    (folder / "searches.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
