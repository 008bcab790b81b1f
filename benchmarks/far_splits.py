"""Which law predicts the best of mixtures that are far from all that it was fitted to?

    python benchmarks/far_splits.py [--runs 96] [--draws 10]

On RegMix's published runs: fitted to some of the 60 % of mixtures nearest the mean one (total variation), judged on
the others. *Optimism* is measured less predicted objective of the best-predicted 5 %: above 0, promises are rosy.
*Regret* is what the best-predicted mixture is worse than the best one. Random folds see neither.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from scipy.stats import spearmanr
from tabulate import tabulate

from mixopt.bench.tables import find_table
from mixopt.methods.swarm.regressors import LAWS

FLOORED = "experiments.floored_law:Floored"
_NEAR, _BEST = 0.6, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=96, help="mixtures fitted to, of those near the mean")
    parser.add_argument("--draws", type=int, default=10, help="draws of these mixtures")
    parser.add_argument("--laws", default=",".join([*LAWS, FLOORED]))
    options = parser.parse_args()
    table = find_table("regmix-60m")
    away = np.abs(table.mixtures - table.mixtures.mean(axis=0)).sum(axis=1).argsort()
    near, far = np.split(away, [round(_NEAR * len(away))])
    rows = []
    for at, fidelity in enumerate(table.fidelities):
        for objective in ("mean", "pile_cc"):
            names = table.eval_domains if objective == "mean" else (objective,)
            share = np.array([(name in names) / len(names) for name in table.eval_domains])
            for name in options.laws.split(","):
                found = [judged(name, table.mixtures, table.losses[at], share, near, far, options.runs, draw)
                         for draw in range(options.draws)]  # fmt: skip
                means, errors = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(options.draws)
                told = [f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means[:-1], errors[:-1], strict=True)]
                rows.append([fidelity.name, objective, LAWS.get(name).name, *told, f"{means[-1]:.2f} s"])
    head = ["runs", "objective", "law", "optimism", "Spearman", "error", "regret", "fit"]
    sys.stdout.write(tabulate(rows, head, tablefmt="pipe") + "\n")


def judged(
    name: str, mixtures: np.ndarray, losses: np.ndarray, share: np.ndarray, near: np.ndarray, far: np.ndarray,
    runs: int, draw: int,
) -> tuple[float, ...]:  # fmt: skip
    """Optimism, rank correlation, root mean square error, regret, and seconds of the fit, of one draw."""
    some = np.random.default_rng(draw).permutation(near)[:runs]
    begun = time.process_time()
    fit = LAWS.get(name)().fit(mixtures[some], losses[some], seed=0)
    seconds = time.process_time() - begun
    predicted, measured = fit.predict(mixtures[far]) @ share, losses[far] @ share
    best = predicted.argsort()[: max(1, round(_BEST * len(far)))]
    return (
        float((measured[best] - predicted[best]).mean()),
        float(spearmanr(predicted, measured).statistic),
        float(np.sqrt(((predicted - measured) ** 2).mean())),
        float(measured[predicted.argmin()] - measured.min()),
        seconds,
    )


if __name__ == "__main__":
    main()
