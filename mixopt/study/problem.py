"""A study as the `Problem` that search methods are given."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixopt.data.sampler import MixtureSampler
from mixopt.methods.problem import Problem, Size
from mixopt.score import TASK_PREFIX
from mixopt.spec import whole_batches
from mixopt.store.task_errors import by_label
from mixopt.study.earlier import read_earlier
from mixopt.study.expected import is_prepared
from mixopt.study.mixtures import resolve_mixture
from mixopt.study.tasks import checked_objective

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.methods.problem import Earlier
    from mixopt.mixture import Mixture
    from mixopt.study.setup import Setup

# Longer runs give each domain its tokens to well within what methods tell apart, and need no look.
_LONG = 2000


def problem_of(study: Setup) -> Problem:
    """What a study asks of its method."""
    tasks = by_label(study.tasks) if is_prepared(study.config.data.dir) else {}
    measured = study.spec(study.natural, study.tokens, seed=0).measured
    return Problem(
        domains=study.domains,
        natural=study.natural,
        tokens=study.tokens,
        corpus=study.corpus,
        available=study.available,
        max_epochs=study.config.training.max_epochs,
        batch_tokens=study.optim.batch_tokens,
        sequence_length=study.sequence_length,
        unique_tokens=bool(study.config.data.unique_tokens),
        objectives=partial(checked_objective, study),
        measured=(*measured, *(f"{TASK_PREFIX}{name}" for name in tasks)),
        training=StudyTraining(study),
    )


class StudyTraining:
    """Whoever trains a study's runs (see `mixopt.methods.problem.Training`)."""

    def __init__(self, study: Setup) -> None:
        """Of this study."""
        self._study = study

    def size(self, model: str | None, tokens: int) -> Size:
        """What a run of this preset and of about these tokens is."""
        study = self._study
        spec = study.sized(model).spec(study.natural, tokens, seed=0)
        return Size(model or study.config.model.preset, spec.model.parameters, spec.tokens, spec.flops)

    def check(self, mixture: Mixture, tokens: int, role: str) -> None:
        """Refuse a run that repeats its data too often (see `Study.check_epochs`)."""
        self._study.check_epochs(self._study.spec(mixture, tokens, seed=0), role)

    def seen(self, weights: Floats, tokens: int) -> Floats:
        """(K,) shares of the tokens that a run sees when these weights (K,) are asked for."""
        study = self._study
        sequences = whole_batches(tokens, study.optim.batch_tokens) // study.sequence_length
        if sequences > _LONG:
            return weights
        sampler = MixtureSampler([sequences] * len(weights), 0, [str(index) for index in range(len(weights))])
        domains, _ = sampler.next_batch(weights, sequences)
        return np.bincount(domains, minlength=len(weights)) / sequences

    def mixture(self, name: str) -> Mixture:
        """The mixture of a file, a published name or a study, over the study's domains."""
        return resolve_mixture(name, self._study)

    def earlier(self, study: str) -> Earlier:
        """A finished study of the same results table."""
        return read_earlier(self._study, study)
