"""How well predictions of runs that a law has not seen come out: never the error on runs that it was fitted to.

Symbols: C mixtures, G folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixopt.methods.swarm.evidence import LawScore

if TYPE_CHECKING:
    from mixopt.arrays import Bools, Floats

_FOLDS = 10


def folds_of(mixtures: int) -> Bools:
    """(G, C) which mixtures each fold leaves out: every one once, in ten folds, or alone where there are fewer."""
    size = min(mixtures, _FOLDS)
    fold_of = np.empty(mixtures, dtype=np.int64)
    fold_of[np.random.default_rng(0).permutation(mixtures)] = np.arange(mixtures) % size
    return fold_of == np.arange(size)[:, None]


def spearman(one: Floats, other: Floats) -> float | None:
    """Rank correlation; None where either is constant."""
    from scipy.stats import rankdata

    ranks = rankdata(one), rankdata(other)
    if len(one) < 3 or min(np.ptp(rank) for rank in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def rms(errors: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt((errors**2).mean()))


@dataclass(frozen=True)
class Score:
    """Predictions of mixtures left out, against what was measured.

    Attributes:
        rmse: root mean square error, in the units of what is predicted.
        relative: the same, of the measured values' mean.
        mean_rmse: root mean square error of predicting the mean of the mixtures that a fold keeps.
        spearman: rank correlation of predicted and measured; None where one of them is constant.
        doubt: standard error of mean_rmse² − rmse², from the mixtures' paired differences.
    """

    rmse: float
    relative: float
    mean_rmse: float
    spearman: float | None
    doubt: float

    @classmethod
    def of(cls, predicted: Floats, measured: Floats, folds: Bools) -> Score:
        """Compare (C,) predictions, each by a fit that has not seen its fold of (G, C), with (C,) measurements."""
        means = np.array([measured[~fold].mean() for fold in folds])[folds.argmax(axis=0)]
        gains = (means - measured) ** 2 - (predicted - measured) ** 2
        return cls(
            rmse=rms(predicted - measured),
            relative=rms(predicted - measured) / max(float(np.abs(measured.mean())), 1e-300),
            mean_rmse=rms(means - measured),
            spearman=spearman(predicted, measured),
            doubt=float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf,
        )

    @property
    def better_than_mean(self) -> bool:
        """Whether it says anything: better than the mean by more than a standard error, and ranked the right way.

        Of runs that are nothing but noise, one swarm in twenty passes; without the standard error it is one in five
        (Gaussian process, 12 to 32 mixtures of 4 to 7 domains).
        """
        return self.mean_rmse**2 - self.rmse**2 > self.doubt and (self.spearman or 0.0) > 0

    def evidence(self) -> LawScore:
        """As it is told."""
        return LawScore(rmse=self.rmse, relative=self.relative, mean_rmse=self.mean_rmse, spearman=self.spearman)
