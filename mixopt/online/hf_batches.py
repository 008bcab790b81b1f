"""What goes with a Trainer's batches and logs: domain ids around the user's collator, averages between two logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mixopt.errors import DataError
from mixopt.online.stream import DOMAIN_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixopt.online.controller import StepLosses


class DomainCollator:
    """The user's collator, with the domain ids led around it. Pickles to workers if the user's does.

    Args:
        collate: makes a batch of items.
    """

    def __init__(self, collate: Callable[[list[dict[str, Any]]], Any]) -> None:
        self._collate = collate

    def __call__(self, items: list[Any]) -> Any:
        """The user's batch, and (B,) domain ids under `domain_id`.

        Raises:
            DataError: items that are no mappings, or a batch that has not one row for each.
        """
        if not isinstance(items[0], dict):
            kind = type(items[0][0]).__name__
            raise DataError(f"online: expected datasets whose items are mappings of columns, found {kind}")
        domain_ids = torch.tensor([item[DOMAIN_KEY] for item in items])
        batch = self._collate([{k: v for k, v in item.items() if k != DOMAIN_KEY} for item in items])
        labels = batch.get("labels")
        if labels is not None and len(labels) != len(items):
            raise DataError(
                f"online: the collator made {len(labels)} rows of {len(items)} items; one that packs items "
                "(padding-free, packing) hides their domains: pack before, each row of one domain"
            )
        batch[DOMAIN_KEY] = domain_ids
        return batch


class StepAverages:
    """Mixture and losses of the steps since the last log.

    Args:
        domains: K names.
    """

    def __init__(self, domains: Sequence[str]) -> None:
        self._domains = domains
        self.reset()

    def reset(self) -> None:
        """Forget all steps."""
        self._loss_sums, self._tokens = np.zeros(len(self._domains)), np.zeros(len(self._domains))
        self._weights: np.ndarray | None = None

    def add(self, losses: StepLosses) -> None:
        """Take a step in."""
        self._loss_sums += np.where(losses.tokens > 0, losses.losses * losses.tokens, 0.0)
        self._tokens += losses.tokens
        self._weights = losses.weights

    def take(self) -> dict[str, float]:
        """`mixture/DOMAIN` of the last step and `loss/DOMAIN` over all steps since, where there were tokens."""
        if self._weights is None:
            return {}
        values = {f"mixture/{name}": float(w) for name, w in zip(self._domains, self._weights, strict=True)}
        for name, loss, tokens in zip(self._domains, self._loss_sums, self._tokens, strict=True):
            if tokens > 0:
                values[f"loss/{name}"] = float(loss / tokens)
        self.reset()
        return values
