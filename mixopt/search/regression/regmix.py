"""Gradient-boosted trees of weights, RegMix's regressor (Liu et al. 2024), by LightGBM.

The published notebook stops boosting early on its test set. Here the number of trees comes from folds of the
training runs, and the model is then fitted to all of them; nothing else is ever looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.search.regression.base import Fitted, Refits, Regressor

if TYPE_CHECKING:
    import lightgbm
    from numpy.typing import NDArray

# Published: rate 0.01, 1,000 trees at most, stop after 3 without progress, leaves of 20 runs. A rate of 0.03 is as
# accurate on RegMix's tables and three times as fast; leaves of 20 cannot split 64 runs (Spearman 0.40 against 0.89
# from 1M to 1B models, Pile-CC), so they shrink with the table.
_RATE, _TREES, _PATIENCE = 0.03, 1000, 10
_FOLDS = 4
_LEAF_SHARE, _LEAF_SIZES = 1 / 16, (3, 20)
_LEAST_RUNS = 16


class RegMix(Regressor):
    """LightGBM, a model a loss."""

    name = "regmix"
    title = "RegMix's gradient-boosted trees"

    def least_runs(self, domains: int) -> int:
        """Enough for folds and leaves; a run a domain."""
        return max(_LEAST_RUNS, domains)

    def fit(self, weights: NDArray[np.float64], losses: NDArray[np.float64], *, seed: int) -> TreesFit:
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


def _fit(weights: NDArray[np.float64], losses: NDArray[np.float64], seed: int) -> lightgbm.Booster:
    import lightgbm

    parameters = _parameters(len(weights), seed)
    data = lightgbm.Dataset(weights, losses, params=parameters, free_raw_data=False)
    fold = np.random.default_rng(seed).permutation(len(weights)) % _FOLDS
    found = lightgbm.cv(
        parameters,
        data,
        _TREES,
        folds=[(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(_FOLDS)],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    # One entry a tree, up to the best number of them.
    return lightgbm.train(parameters, data, np.size(np.asarray(found["valid l2-mean"])))


@dataclass(frozen=True, eq=False)
class TreesFit(Fitted):
    """Models of V losses, with the runs that they are of."""

    weights: NDArray[np.float64]
    losses: NDArray[np.float64]
    models: tuple[lightgbm.Booster, ...]

    def predict(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, V) losses of mixtures (…, K)."""
        flat = weights.reshape(-1, weights.shape[-1])
        predicted = [np.asarray(model.predict(flat, num_threads=1)) for model in self.models]
        return np.stack(predicted, axis=-1).reshape(*weights.shape[:-1], -1)

    def replicates(self, count: int, seed: int) -> Refits:
        """Refits to runs drawn with replacement, with each loss's number of trees."""
        rng = np.random.default_rng(seed)
        return Refits([self._refit(rng.integers(len(self.weights), size=len(self.weights))) for _ in range(count)])

    def _refit(self, rows: NDArray[np.intp]) -> TreesFit:
        import lightgbm

        weights, losses = self.weights[rows], self.losses[rows]
        parameters = _parameters(len(rows), seed=0)
        data = lightgbm.Dataset(weights, params=parameters, free_raw_data=False)
        models = [
            lightgbm.train(parameters, data.set_label(y), model.num_trees())
            for model, y in zip(self.models, losses.T, strict=True)
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
