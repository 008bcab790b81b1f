"""Whether runs as short as these can be told apart: a run holds whole sequences, and a design asks for shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.methods.ddo.analysis import Sweep
from mixopt.methods.ddo.fit import PRESETS
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.arrays import Floats
    from mixopt.methods.ddo.design import Design
    from mixopt.methods.problem import Problem


def check_resolution(problem: Problem, design: Design, preset: str) -> None:
    """Refuse a design whose runs are so short that whole sequences are far from the tokens asked for.

    DDO would not recognise such runs as its own, and could say so only after they are trained. That some are off is
    no obstacle while each domain has runs enough for its law.

    Raises:
        ConfigError: it is such a design.
    """
    if problem.training is None:
        return
    seen = []
    for cell in design.cells:
        size = problem.training.size(None, round(cell.tokens.sum()))
        seen.append(problem.training.seen(cell.tokens / cell.tokens.sum(), size.tokens) * size.tokens)
    try:
        Sweep.of(design, _history(design, np.array(seen)), None, PRESETS[preset])
    except ConfigError:
        sequences = problem.training.size(None, design.tokens).tokens // problem.sequence_length
        domains = len(design.reference.domains)
        raise ConfigError(
            f"runs of {format_count(design.tokens)} tokens are too short: {sequences} sequences of "
            f"{problem.sequence_length} tokens cannot be shared out over {domains} domains near enough to what "
            "DDO asks; use more --tokens (or larger --scales), or smaller training.batch_tokens "
            "and training.sequence_length"
        ) from None


def _history(design: Design, seen: Floats) -> History:
    """Runs that saw these tokens, one seed each, so that none takes another's place."""
    names, domains = tuple(str(cell.role) for cell in design.cells), design.reference.domains
    count = len(names)
    return History(
        names, domains, domains, seen, np.ones_like(seen), np.arange(count), np.zeros(count, dtype=np.int64)
    )
