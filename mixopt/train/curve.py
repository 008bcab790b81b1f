"""The loss curves of a run, and the mixture at each of their points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.result import CURVE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mixopt.arrays import Floats, Ints


class Curve:
    """Grows by a stretch at every evaluation; training losses are means over the stretch's predicted tokens.

    Args:
        domains: K training domains.
        only: domains that are measured and not trained on.

    Attributes:
        rows: columns `CURVE_COLUMNS`.
        mixture: columns `step`, `domain`, `weight`.
    """

    def __init__(self, domains: Iterable[str], only: Iterable[str] = ()) -> None:
        self.domains = tuple(domains)
        self.measured = (*self.domains, *only)
        self.rows: dict[str, list[Any]] = {name: [] for name in CURVE_COLUMNS}
        self.mixture: dict[str, list[Any]] = {"step": [], "domain": [], "weight": []}
        self._sums = np.zeros(len(self.domains))
        self._targets = np.zeros(len(self.domains), dtype=np.int64)

    def add_step(self, sums: Floats, targets: Ints) -> None:
        """Take in a step's (K,) summed training losses (nats) and the tokens that they are of."""
        self._sums += sums
        self._targets += targets

    def add_point(self, step: int, tokens: int, validation: Floats, weights: Floats) -> None:
        """Close a stretch.

        Args:
            step: steps trained.
            tokens: tokens trained.
            validation: (V,) validation losses, nats/predicted token: of the K domains, then of the others.
            weights: (K,) mixture of the step to come.
        """
        self.close_stretch(step, tokens)
        for domain, loss in zip(self.measured, validation, strict=True):
            self._add(step, tokens, "validation", domain, loss)
        for index, domain in enumerate(self.domains):
            for column, value in zip(self.mixture, (step, domain, float(weights[index])), strict=True):
                self.mixture[column].append(value)

    def close_stretch(self, step: int, tokens: int) -> None:
        """Write the training losses since the last point: at a point, and where a run diverges between points."""
        for index, domain in enumerate(self.domains):
            if self._targets[index]:
                self._add(step, tokens, "train", domain, self._sums[index] / self._targets[index])
        self._sums[:] = 0
        self._targets[:] = 0

    def _add(self, *row: Any) -> None:
        *head, loss = row
        for column, value in zip(CURVE_COLUMNS, (*head, float(loss)), strict=True):
            self.rows[column].append(value)

    def last_validation(self) -> dict[str, float]:
        """Validation losses of the last point by domain."""
        return self._last("validation")

    def last_training(self) -> dict[str, float]:
        """Training losses of the last stretch by domain; absent domains left out."""
        return self._last("train")

    def _last(self, split: str) -> dict[str, float]:
        rows = zip(*(self.rows[name] for name in CURVE_COLUMNS), strict=True)
        last = self.rows["step"][-1] if self.rows["step"] else None
        return {domain: loss for step, _, row_split, domain, loss in rows if (step, row_split) == (last, split)}

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"rows": self.rows, "mixture": self.mixture, "sums": self._sums, "targets": self._targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.rows, self.mixture = state["rows"], state["mixture"]
        self._sums, self._targets = state["sums"], state["targets"]
