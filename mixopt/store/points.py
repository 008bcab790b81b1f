"""Validation losses inside runs, from their curves, for methods that learn from shorter runs too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.history import CurvePoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixopt.arrays import Floats
    from mixopt.history import History


def with_curves(history: History, curve_of: Callable[[str], Mapping[str, Sequence[Any]]]) -> History:
    """The history with the points of its runs' curves; a point that lacks a domain is left out.

    Args:
        history: the runs.
        curve_of: the curve of a run (`mixopt.result.RunResult.curve`).
    """
    runs: list[int] = []
    tokens: list[int] = []
    losses: list[Floats] = []
    for index, run in enumerate(history.runs):
        for at, found in zip(*validation_points(curve_of(run), history.eval_domains), strict=True):
            if at > 0 and np.isfinite(found).all():
                runs.append(index)
                tokens.append(at)
                losses.append(found)
    shape = len(runs), len(history.eval_domains)
    points = CurvePoints(np.array(runs, np.intp), np.array(tokens, np.float64), np.array(losses).reshape(shape))
    return replace(history, curves=points)


def validation_points(curve: Mapping[str, Sequence[Any]], domains: Sequence[str]) -> tuple[tuple[int, ...], Floats]:
    """Tokens (P,), ascending, and validation losses (P, V) of a run's curve; NaN where a domain was not measured.

    Args:
        curve: columns of `mixopt.result.RunResult.curve`.
        domains: V evaluation domains.
    """
    place = {domain: column for column, domain in enumerate(domains)}
    points: dict[int, Floats] = {}
    names = ("tokens", "split", "domain", "loss")
    for tokens, split, domain, loss in zip(*(curve.get(name, ()) for name in names), strict=True):
        if split == "validation":
            point = points.setdefault(tokens, np.full(len(domains), np.nan))
            if domain in place and loss is not None:
                point[place[domain]] = loss
    grid = tuple(sorted(points))
    return grid, np.array([points[tokens] for tokens in grid]).reshape(len(grid), len(domains))
