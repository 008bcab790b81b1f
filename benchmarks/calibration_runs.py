"""A table of real runs to check promises against: 7 domains, 64 mixtures, three nested scales.

    mixopt data demo --out demo/data --vocabulary 1024
    python benchmarks/calibration_runs.py --data demo/data --results results/calibration
    mixopt runs export benchmarks/calibration_runs.csv --results results/calibration

Mixtures: the natural and the uniform one, DDO's design of one domain more or less (at equal tokens), and Dirichlet
draws around the natural mixture, some near and some far. The two smaller scales have all of them, the largest 40.
The first dozen has three seeds everywhere. Everything is kept in the results table (curves too): stopped and run again,
it goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from mixopt.execute.base import Quiet
from mixopt.methods.base import Proposal
from mixopt.mixture import Mixture
from mixopt.report.progress import Live
from mixopt.role import Role
from mixopt.store import Store
from mixopt.study import Study
from mixopt.study.loop import plan_runs, train_missing

if TYPE_CHECKING:
    from collections.abc import Sequence

# Model, tokens, mixtures.
SCALES = (("gpt2-0.2m", 100_000, 64), ("gpt2-0.2m", 400_000, 64), ("gpt2-0.4m", 800_000, 40))
REPEATED, SEEDS = 12, 3
# As in experiments/demo.yaml.
TRAINING = {"sequence_length": 64, "batch_tokens": 256, "lr": 2e-3, "beta2": 0.99, "warmup": 0.05, "final_lr": 0.05}


def mixtures_of(natural: Mixture, seed: int = 7) -> list[Mixture]:
    """64 mixtures, those that are repeated first: natural, uniform, draws near and far by turns, DDO's design."""
    rng = np.random.default_rng(seed)
    count = len(natural.domains)
    uniform = np.full(count, 1 / count)
    drawn = [
        rng.dirichlet(strength * count * natural.array + 0.2)
        for strength, _ in zip(itertools.cycle((0.5, 1.0, 3.0)), range(48), strict=False)
    ]
    design = []
    for domain, factor in itertools.product(range(count), (3.0, 1 / 3)):
        weights = uniform.copy()
        weights[domain] *= factor
        design.append(weights / weights.sum())
    turns = [row for pair in itertools.zip_longest(drawn, design) for row in pair if row is not None]
    rows = [natural.array, uniform, *turns]
    return [Mixture.of_array(natural.domains, row) for row in rows]


def proposals(mixtures: Sequence[Mixture], tokens: int, model: str, count: int) -> list[Proposal]:
    """Each mixture once, the first ones with more seeds."""
    return [
        Proposal(mixture, tokens, seed, Role("mixture", str(number)), model=model)
        for number, mixture in enumerate(mixtures[:count])
        for seed in range(SEEDS if number < REPEATED else 1)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo/data", help="folder of prepared data")
    parser.add_argument("--results", default="results/calibration", help="folder of the results table")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--executor", default="ray", choices=("ray", "inline"))
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args()
    watch = Quiet() if options.quiet else Live(Console(stderr=True))
    with Store(options.results) as store:
        for model, tokens, count in SCALES:
            study = Study(
                data=options.data,
                model=model,
                tokens=tokens,
                results=options.results,
                training=TRAINING,
                evaluation={"tokens_per_domain": 16384, "points": 5, "point_tokens_per_domain": 16384},
                executor={"kind": options.executor, "workers": options.workers, "cpus_per_run": 1, "device": "cpu"},
            )
            mixtures = mixtures_of(study.natural)
            with study.executor() as executor:
                planned = plan_runs(study, proposals(mixtures, tokens, model, count))
                train_missing(study, planned, store, executor, watch)


if __name__ == "__main__":
    main()
