"""Datasets whose items say where they come from, a policy that follows every loss, a loop that notes all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from torchdata.stateful_dataloader import StatefulDataLoader

    from mixopt.online import OnlineMixture

LENGTHS = {"web": 37, "code": 11, "maths": 5}


class Numbered(Dataset):
    """Item i of domain d is `{"d": d, "i": i}`."""

    def __init__(self, domain: int, length: int) -> None:
        self.domain, self.length = domain, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, int]:
        if not 0 <= index < self.length:
            raise IndexError(index)
        return {"d": self.domain, "i": index}


def numbered() -> dict[str, Numbered]:
    return {name: Numbered(k, length) for k, (name, length) in enumerate(LENGTHS.items())}


class Following:
    """Every loss moves its weights; notes what it is told."""

    def __init__(self, domains: int = 3) -> None:
        self.logits = np.zeros(domains)
        self.told: list[tuple[int, list[float], list[int]]] = []

    def weights(self, step: int) -> np.ndarray:
        shares = np.exp(self.logits)
        return shares / shares.sum()

    def observe(self, step: int, loss_k: np.ndarray, tokens_k: np.ndarray) -> None:
        self.told.append((step, loss_k.tolist(), tokens_k.tolist()))
        self.logits = self.logits + 0.3 * np.nan_to_num(loss_k)

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.logits = state["logits"]


@dataclass
class Seen:
    """What a loop saw: by step, the items (domain, index) and the mixture."""

    items: list[list[tuple[int, int]]] = field(default_factory=list)
    mixtures: list[list[float]] = field(default_factory=list)


def losses_of(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Multiples of 1/64, whose sums are exact in any order; each depends on its item."""
    return (batch["d"] * 16 + batch["i"] % 16).float() / 64


def train(online: OnlineMixture, loader: DataLoader | StatefulDataLoader, steps: int, seen: Seen | None = None) -> Seen:
    """`steps` steps of a loop that only watches."""
    seen = seen or Seen()
    batches = iter(loader)
    for _ in range(steps):
        items = []
        seen.mixtures.append(list(online.mixture.weights))
        for _ in range(online.dataset.batches):
            batch = next(batches)
            items += list(zip(batch["d"].tolist(), batch["i"].tolist(), strict=True))
            online.observe(losses_of(batch), torch.full((len(batch["d"]),), 4), batch["domain_id"])
        seen.items.append(items)
        online.step()
    return seen
