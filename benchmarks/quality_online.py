"""Do online mixtures beat fixed ones? ADO's presets, ODM and fixed mixtures, trained and measured on real text.

    python benchmarks/bench_corpus.py --out data/bench
    python benchmarks/quality_online.py [STUDY.yaml] [--seeds 3] [--ablations 1]

Fixed mixtures: natural (ADO's and ODM's prior), balanced (uniform), and the optimum of a DDO sweep at the very same
scale, for the mean perplexity and for the natural-weighted loss. All are trained for the study's tokens with paired
seeds. Prints, against natural: the natural-weighted and the unweighted validation loss, the domains that are only
measured, and the tokens to natural's final loss; then the same for ADO with one constant changed at a time.
Everything is kept in the study's results table: stopped and run again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from mixopt.execute.base import Quiet
from mixopt.objective import MeanLoss, WeightedLoss
from mixopt.report.progress import Live
from mixopt.store import Store
from mixopt.study import Study, StudyConfig
from mixopt.study.compare.compare import compare_runs
from mixopt.study.loop import run_study, train_missing
from mixopt.study.policies import PolicyAsked, plan_policies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixopt.comparison import Comparison, Entry, Measured
    from mixopt.execute.base import Executor, Job, Watch
    from mixopt.mixture import Mixture
    from mixopt.objective import Objective

ONLINE = {
    "ADO robust": PolicyAsked("ado"),
    "ADO paper": PolicyAsked("ado", options={"preset": "paper"}),
    "ADO official": PolicyAsked("ado", options={"preset": "official"}),
    "ODM paper": PolicyAsked("odm"),
    "ODM code": PolicyAsked("odm", options={"variant": "code"}),
}

# One constant of `robust` changed at a time (the paper ablates s in Table 3); docs/ado.md says what each is.
ABLATIONS = {
    "credit h^s": {"relative_credit": False},
    "credit h^s, s = 0.1": {"relative_credit": False, "s": 0.1},
    "s = 0.1": {"s": 0.1},
    "gamma1 = 0.01": {"gamma1": 0.01},
    "gamma1 = 1": {"gamma1": 1.0},
    "gamma2 = 0.01": {"gamma2": 0.01},
    "gamma2 = 1": {"gamma2": 1.0},
    "clock: absolute": {"clock": "absolute"},
    "bounds: the paper's": {"bounds": "paper"},
    "schedule-aware law": {"law": "schedule-aware"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="experiments/bench_online.yaml")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each mixture and policy")
    parser.add_argument("--ablations", type=int, default=1, help="seeds of each ablation; 0 for none")
    parser.add_argument("--data", help="folder of the prepared bench corpus [the study's]")
    parser.add_argument("--results", help="folder of the results table [the study's]")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    study = Study.of(StudyConfig.load(options.study, {"data.dir": options.data, "results": options.results}))
    watch = Quiet() if options.quiet else Live(Console(stderr=True))
    with Store(study.config.results) as store, study.executor() as executor:
        fixed = {"balanced": study.reference}
        for name, objective in objectives(study).items():
            fixed[f"DDO, {name}"] = _ddo(study, objective, store, executor, watch)
        plan = _plan(study, fixed, options.seeds, options.ablations)
        runs = sorted((run for some in plan.values() for run in some), key=lambda run: run.spec.seed)
        train_missing(study, runs, store, executor, watch)
        groups = {name: [store.get(run.spec.run_id) for run in some] for name, some in plan.items()}
    for name, mixture in fixed.items():
        print(f"{name}: {', '.join(f'{domain} {weight:.3f}' for domain, weight in mixture.to_dict().items())}")
    comparisons = {name: compare_runs(groups, objective, ["natural"]) for name, objective in objectives(study).items()}
    print_table(comparisons, study.config.data.eval_only)


def objectives(study: Study) -> dict[str, Objective]:
    """What is measured: the paper's validation loss, and the mean over domains."""
    return {"natural-weighted loss": WeightedLoss(study.natural, name="natural-weighted"), "mean loss": MeanLoss()}


def _ddo(study: Study, objective: Objective, store: Store, executor: Executor, watch: Watch) -> Mixture:
    """The best fixed mixture for `objective`, of a DDO sweep at the study's own tokens."""
    searcher = study.searcher()
    searcher = type(searcher)(
        study.reference, study.tokens, replace(searcher.settings, objective=objective),
        baselines={"natural": study.natural},
    )  # fmt: skip
    return run_study(study, searcher, store, executor, watch).mixture


def _plan(study: Study, fixed: Mapping[str, Mixture], seeds: int, ablations: int) -> dict[str, list[Job]]:
    asked = {"natural": PolicyAsked("static", study.natural)}
    asked |= {name: PolicyAsked("static", mixture) for name, mixture in fixed.items()} | ONLINE
    plan = {name: plan_policies(study, {name: one}, study.tokens, range(seeds)) for name, one in asked.items()}
    for name, changed in ABLATIONS.items() if ablations else ():
        one = PolicyAsked("ado", options=changed)
        plan[name] = plan_policies(study, {name: one}, study.tokens, range(ablations))
    return plan


def print_table(comparisons: Mapping[str, Comparison], only: Sequence[str]) -> None:
    """A Markdown table: each objective with its gain over natural, then the perplexities of `only`."""
    first = next(iter(comparisons.values()))
    head = ["mixture", "seeds"]
    for name in comparisons:
        head += [name, "gain over natural", "tokens saved to natural's end"]
    head += [f"{domain} perplexity, gain" for domain in only]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for name, entry in first.entries.items():
        cells = [name, str(len(entry.seeds))]
        for comparison in comparisons.values():
            cells += _objective_cells(comparison.entries[name])
        for domain in only:
            versus = entry.versus.get("natural")
            gain = "" if versus is None else f", {_percent(versus.domains[domain])}"
            cells.append(f"{entry.domains[domain].ppl.value:.2f}{gain}")
        print("| " + " | ".join(cells) + " |")


def _objective_cells(entry: Entry) -> list[str]:
    error = entry.objective.standard_error
    cells = [f"{entry.objective.value:.4f}" + ("" if error is None else f" ± {error:.4f}")]
    versus, reach = entry.versus.get("natural"), entry.tokens_to_reach.get("natural")
    cells.append("" if versus is None else _percent(versus.gain))
    if reach is None:
        cells.append("")
    elif reach.saved is None:
        cells.append("never there")
    else:
        span = "" if reach.low is None or reach.high is None else f" ({100 * reach.low:.0f} to {100 * reach.high:.0f})"
        cells.append(f"{100 * reach.saved:.1f} %{span}")
    return cells


def _percent(gain: Measured) -> str:
    error = "" if gain.standard_error is None else f" ± {100 * gain.standard_error:.2f}"
    return f"{100 * gain.value:+.2f} %{error}"


if __name__ == "__main__":
    sys.exit(main())
