"""Gradient-boosted trees of weights, RegMix's regressor (Liu et al. 2024), by LightGBM.

The published notebook stops boosting early on its test set. Here the number of trees comes from folds of the
training runs, and the model is then fitted to all of them; nothing else is ever looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats, Indices
from mixopt.methods.swarm.regressors.base import Fitted, Refits, Regressor

if TYPE_CHECKING:
    import lightgbm


# Published: rate 0.01, 1,000 trees at most, stop after 3 without progress, leaves of 20 runs. A rate of 0.03 is as
# accurate on RegMix's tables and three times as fast; leaves of 20 cannot split 64 runs (Spearman 0.40 against 0.89
# from 1M to 1B models, Pile-CC), so they shrink with the table.
_RATE, _TREES, _PATIENCE, _STEP = 0.03, 1000, 10, 5
_FOLDS = 4
_LEAF_SHARE, _LEAF_SIZES = 1 / 16, (3, 20)
_LEAST_RUNS = 16


class RegMix(Regressor):
    """LightGBM, a model a loss."""

    name = "regmix"
    title = "RegMix's gradient-boosted trees"
    costly = True

    def least_runs(self, domains: int) -> int:
        """Enough for folds and leaves; a run a domain."""
        return max(_LEAST_RUNS, domains)

    def fit(self, weights: Floats, losses: Floats, *, seed: int) -> TreesFit:
        """Choose the number of trees of every loss by its folds, then fit to all runs."""
        self.check(weights, losses)
        models = [_fit(weights, y, seed) for y in losses.T]
        return TreesFit(weights, losses, tuple(models))


def _parameters(runs: int, seed: int) -> dict[str, Any]:
    return {
        "objective": "regression",
        "learning_rate": _RATE,
        "min_data_in_leaf": int(np.clip(runs * _LEAF_SHARE, *_LEAF_SIZES)),
        "seed": seed,
        # The same model on any machine; tables are too short for threads to pay.
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def _fit(weights: Floats, losses: Floats, seed: int) -> lightgbm.Booster:
    import lightgbm

    data = lightgbm.Dataset(weights, losses, params=_parameters(len(weights), seed), free_raw_data=False)
    return _train(data, _number_of_trees(data.construct(), seed), seed)


def _number_of_trees(data: lightgbm.Dataset, seed: int) -> int:
    """The number with the least mean square error on folds of the runs, in steps of `_STEP`.

    It is `lightgbm.cv` with early stopping, which spends as much time on its callbacks after each tree as on trees.
    """
    import lightgbm

    runs = data.num_data()
    fold = np.random.default_rng(seed).permutation(runs) % _FOLDS
    boosters = []
    for k in range(_FOLDS):
        booster = lightgbm.Booster(_parameters(runs, seed), data.subset(np.flatnonzero(fold != k).tolist()))
        boosters.append(booster.add_valid(data.subset(np.flatnonzero(fold == k).tolist()), "left out"))
    best, least = _STEP, np.inf
    for trees in range(_STEP, _TREES + 1, _STEP):
        for booster in boosters:
            for _ in range(_STEP):
                booster.update()
        error = float(np.mean([booster.eval_valid()[0][2] for booster in boosters]))
        if error < least:
            best, least = trees, error
        elif trees - best >= _PATIENCE:
            break
    return best


def _train(data: lightgbm.Dataset, trees: int, seed: int) -> lightgbm.Booster:
    import lightgbm

    # Without a copy of the model through its text, which takes as long as the training.
    return lightgbm.train(_parameters(data.num_data(), seed), data, trees, keep_training_booster=True)


@dataclass(frozen=True, eq=False)
class TreesFit(Fitted):
    """Models of V losses, with the runs that they are of."""

    weights: Floats
    losses: Floats
    models: tuple[lightgbm.Booster, ...]

    def predict(self, weights: Floats) -> Floats:
        """(…, V) losses of mixtures (…, K)."""
        flat = weights.reshape(-1, weights.shape[-1])
        predicted = [np.asarray(model.predict(flat, num_threads=1)) for model in self.models]
        return np.stack(predicted, axis=-1).reshape(*weights.shape[:-1], -1)

    def replicates(self, count: int, seed: int) -> Refits:
        """Refits to runs drawn with replacement, with each loss's number of trees."""
        rng = np.random.default_rng(seed)
        return Refits([self._refit(rng.integers(len(self.weights), size=len(self.weights))) for _ in range(count)])

    def _refit(self, rows: Indices) -> TreesFit:
        import lightgbm

        weights, losses = self.weights[rows], self.losses[rows]
        data = lightgbm.Dataset(weights, params=_parameters(len(rows), seed=0), free_raw_data=False).construct()
        models = [
            _train(data.set_label(y), model.num_trees(), seed=0) for model, y in zip(self.models, losses.T, strict=True)
        ]
        return TreesFit(weights, losses, tuple(models))

    def describe(self) -> dict[str, Any]:
        """Trees of each loss, and how much each domain's splits gained, as shares."""
        gains = np.stack([model.feature_importance("gain") for model in self.models])
        return {
            "law": "loss = sum of gradient-boosted regression trees of w",
            "trees": [model.num_trees() for model in self.models],
            "gain": (gains / np.maximum(gains.sum(axis=1, keepdims=True), 1e-300)).tolist(),
        }
