"""The sequences that a mixture drew, for any PyTorch data loader; and prepared data folders as datasets."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from mixopt.data.tokens import TokenData
from mixopt.errors import DataError

if TYPE_CHECKING:
    from mixopt.online.shared_losses import PlanBoard

DOMAIN_KEY = "domain_id"
_POLL_SECONDS = 0.001
_PATIENCE_SECONDS = 60.0

_log = logging.getLogger(__name__)


class MixtureStream(IterableDataset):
    """One process's share of every step's sequences, in order.

    An item that is a mapping comes with its domain's index under `domain_id`; any other comes as the pair (item,
    index). A pass begins at the first step that has not been trained, so a new loader, or a new pass, goes on where
    training stands and not where workers had read ahead. Its iterators have `state_dict` and `load_state_dict` for
    torchdata's `StatefulDataLoader`.

    Args:
        datasets: K datasets with items by index.
        board: the plans.
        batch_size: items in each of the loader's batches; the loader must be given the same.
        batches: batches of a process in a step.
        steps: after which the stream ends; None for a stream that ends when the board is closed.
        rank: of this process.
        size: number of processes.
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        board: PlanBoard,
        batch_size: int,
        batches: int,
        steps: int | None,
        rank: int,
        size: int,
    ) -> None:
        self.datasets, self.board = tuple(datasets), board
        self.batch_size, self.batches, self.steps = batch_size, batches, steps
        self.rank, self.size = rank, size

    def __iter__(self) -> Iterator[Any]:
        return _Reader(self)

    def plan_of(self, batch: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Domains and indices, (batch_size,) each, of this process's `batch`, counted from the run's start.

        Waits until the mixture of the batch's step is known. None if the stream has ended.

        Raises:
            DataError: the step is past, or (in the training process, where nobody could be waited for) to come.
        """
        step, within = divmod(batch, self.batches)
        if self.steps is not None and step >= self.steps:
            return None
        worker, since, patient = get_worker_info() is not None, time.monotonic(), True
        while (plan := self.board.read(step)) is None:
            if self.board.closed:
                return None
            if step < self.board.next_step:
                raise DataError(
                    f"online: the loader is at step {step}, training at step {self.board.next_step}; make a new "
                    "iterator of the loader after load_state_dict, and load both from one checkpoint"
                )
            if not worker:
                raise DataError(
                    f"online: sequences of step {step} were asked for while step {self.board.next_step} is still "
                    "to be trained; call step() after each optimiser step"
                )
            parent = multiprocessing.parent_process()
            if parent is not None and not parent.is_alive():
                return None
            if patient and time.monotonic() - since > _PATIENCE_SECONDS:
                patient = False
                _log.warning("online: a worker waits for step %d: is step() called after each optimiser step?", step)
            time.sleep(_POLL_SECONDS)
        first = (within * self.size + self.rank) * self.batch_size
        domains, windows = plan
        return domains[first : first + self.batch_size], windows[first : first + self.batch_size]


class _Reader(Iterator[Any]):
    """A pass over the stream in one worker, which has every `stride`-th of the process's batches."""

    def __init__(self, stream: MixtureStream) -> None:
        info = get_worker_info()
        self._stream, self._stride = stream, 1 if info is None else info.num_workers
        self._batch = stream.board.next_step * stream.batches + (0 if info is None else info.id)
        self._within = 0
        self._plan: tuple[NDArray[Any], NDArray[Any]] | None = None

    def __next__(self) -> Any:
        stream = self._stream
        if self._plan is None:
            self._plan = stream.plan_of(self._batch)
            if self._plan is None:
                raise StopIteration
        domain, index = (int(array[self._within]) for array in self._plan)
        self._within += 1
        if self._within == stream.batch_size:
            self._batch, self._within, self._plan = self._batch + self._stride, 0, None
        return _with_domain(stream.datasets[domain][index], domain)

    def state_dict(self) -> dict[str, int]:
        """The next batch and the next item in it."""
        return {"batch": self._batch, "within": self._within}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue exactly.

        Raises:
            DataError: the state is of another step than the mixture.
        """
        stream, batch = self._stream, state["batch"]
        begun = stream.board.next_step
        if not begun * stream.batches <= batch < (begun + 1) * stream.batches + self._stride:
            raise DataError(
                f"online: the loader's saved state is at step {batch // stream.batches}, the mixture at {begun}; "
                "load the states of both from one checkpoint, the mixture's first"
            )
        self._batch, self._within, self._plan = batch, state["within"], None


def _with_domain(item: Any, domain: int) -> Any:
    if not isinstance(item, Mapping):
        return item, domain
    if DOMAIN_KEY in item:
        raise DataError(f"online: an item has {DOMAIN_KEY!r} of its own; rename that column, the stream adds it")
    return {**item, DOMAIN_KEY: domain}


class TokenWindows(Dataset):
    """The training windows of one domain of a data folder.

    Item i is `{"input_ids", "labels"}`, both the same `length + 1` token ids: labels are shifted by the model (as
    Hugging Face's do) or by the loop, which leaves `length` predictions. No token is a target twice.

    Args:
        folder: what `mixopt data prepare` made.
        domain: its name.
        length: predictions of a window.
        verify: compare the files with the manifest's hashes.

    Raises:
        DataError: no prepared data, no such domain, or less than one window of it.
    """

    def __init__(self, folder: str | Path, domain: str, length: int, verify: bool = True) -> None:
        self.folder, self.domain, self.length = folder, domain, length
        self._open(verify)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rows = self._data.batch("train", self._index, np.array([index]), self.length)
        tokens = torch.from_numpy(rows[0])
        return {"input_ids": tokens, "labels": tokens.clone()}

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is not forked maps the files itself; a pickled map would be a copy of all tokens.
        return {"folder": self.folder, "domain": self.domain, "length": self.length}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open(verify=False)

    def _open(self, verify: bool) -> None:
        self._data = TokenData.open(self.folder, verify)
        self._index = self._data.indices([self.domain])
        (self._count,) = self._data.train_sequences(self.length, [self.domain])


def token_windows(folder: str | Path, length: int, domains: Sequence[str] | None = None) -> dict[str, TokenWindows]:
    """The windows of each of `domains`, or of all, in the manifest's order; for `OnlineMixture`.

    Raises:
        DataError: as `TokenWindows`.
    """
    data = TokenData.open(folder)
    names = data.manifest.domain_names if domains is None else domains
    data.indices(names)
    return {name: TokenWindows(folder, name, length, verify=False) for name in names}
