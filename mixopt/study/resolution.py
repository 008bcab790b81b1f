"""Whether runs as short as these can be told apart: a run holds whole sequences, and a design asks for shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.data.sampler import MixtureSampler
from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.methods.ddo.analysis import Sweep
from mixopt.methods.ddo.fit import PRESETS
from mixopt.mixture import Mixture
from mixopt.spec import whole_batches
from mixopt.units import format_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixopt.methods.ddo.design import Design
    from mixopt.study.study import Study

# Longer runs give each domain its tokens to well within what methods tell apart, and need no look.
_LONG = 2000


def check_resolution(study: Study, design: Design) -> None:
    """Refuse a design whose runs are so short that whole sequences are far from the tokens asked for.

    DDO would not recognise such runs as its own, and could say so only after they are trained. That some are off is
    no obstacle while each domain has runs enough for its law.

    Raises:
        ConfigError: it is such a design.
    """
    length, seen = study.sequence_length, []
    for cell in design.cells:
        amounts = dict(zip(design.reference.domains, cell.tokens.tolist(), strict=True))
        spec = study.spec(Mixture.normalised(amounts), round(cell.tokens.sum()), seed=0)
        seen.append(_drawn(np.array(spec.policy.weights), spec.tokens // length) * length)
    try:
        Sweep.of(design, _history(design, np.array(seen)), None, PRESETS[study.config.method.preset])
    except ConfigError:
        sequences = whole_batches(design.tokens, study.optim.batch_tokens) // length
        raise ConfigError(
            f"runs of {format_count(design.tokens)} tokens are too short: {sequences} sequences of {length} tokens "
            f"cannot be shared out over {len(design.reference.domains)} domains near enough to what DDO asks; use "
            "more --tokens (or larger --scales), or smaller training.batch_tokens and training.sequence_length"
        ) from None


def shares_seen(study: Study, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) shares of the tokens that a run of the study sees when these weights (K,) are asked for."""
    sequences = whole_batches(study.tokens, study.optim.batch_tokens) // study.sequence_length
    return _drawn(weights, sequences) / sequences


def _drawn(shares: NDArray[np.float64], sequences: int) -> NDArray[np.float64]:
    """(K,) sequences that a run draws of each domain."""
    if sequences > _LONG:
        return shares * sequences
    sampler = MixtureSampler([sequences] * len(shares), 0, [str(index) for index in range(len(shares))])
    domains, _ = sampler.next_batch(shares, sequences)
    return np.bincount(domains, minlength=len(shares)).astype(np.float64)


def _history(design: Design, seen: NDArray[np.float64]) -> History:
    """Runs that saw these tokens, one seed each, so that none takes another's place."""
    names, domains = tuple(cell.role for cell in design.cells), design.reference.domains
    count = len(names)
    return History(
        names, domains, domains, seen, np.ones_like(seen), np.arange(count), np.zeros(count, dtype=np.int64)
    )
