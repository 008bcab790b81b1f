"""Validation losses inside runs, from their curves, for methods that learn from shorter runs too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.history import CurvePoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixopt.history import History


def with_curves(history: History, curve_of: Callable[[str], Mapping[str, Sequence[Any]]]) -> History:
    """The history with the points of its runs' curves; a point that lacks a domain is left out.

    Args:
        history: the runs.
        curve_of: the curve of a run (`mixopt.result.RunResult.curve`).
    """
    runs: list[int] = []
    tokens: list[float] = []
    losses: list[list[float]] = []
    for index, run in enumerate(history.runs):
        curve = curve_of(run)
        points: dict[int, dict[str, float]] = {}
        for split, domain, at, loss in zip(
            *(curve.get(name, ()) for name in ("split", "domain", "tokens", "loss")), strict=True
        ):
            if split == "validation" and loss is not None and np.isfinite(loss):
                points.setdefault(at, {})[domain] = loss
        for at, found in sorted(points.items()):
            if at > 0 and set(history.eval_domains) <= found.keys():
                runs.append(index)
                tokens.append(float(at))
                losses.append([found[domain] for domain in history.eval_domains])
    width = len(history.eval_domains)
    return replace(
        history,
        curves=CurvePoints(
            np.array(runs, dtype=np.intp), np.array(tokens), np.array(losses).reshape(len(runs), width)
        ),
    )
