"""Checkpoints: a folder a step, made whole under another name and then renamed, so that none is ever half there.

CHECKPOINTS/step-00001200/   config.json, model.safetensors   (transformers' format)
                             optimizer.safetensors            moments by parameter name, and the RNG
                             state.json                       sampler, policy, curve, step
CHECKPOINTS/final/           the trained model and its tokenizer, when it is kept
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mixopt.arrays import from_json, to_json
from mixopt.data.tokenizer import give_mask_token
from mixopt.errors import DataError
from mixopt.train.parallel import ALONE, Group, gather, is_sharded, split_like

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_RNG = "rng.cpu"
_RNG_CUDA = "rng.cuda"


def save_checkpoint(
    folder: Path,
    step: int,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    group: Group = ALONE,
) -> None:
    """Write the checkpoint of `step` and then drop the older ones.

    It is the same whether the model was whole or sharded, on one process or on many: any number can go on from it.

    Args:
        folder: the run's own checkpoint folder; made if need be.
        state: JSON values and numpy arrays (kept exactly), `run_id` among them; the same on every process.
        group: the processes of the run, which all call this; the first one writes.
    """
    weights = _weights(model, group)
    tensors = _optimizer_tensors(model, optimizer, group)
    if group.rank:
        return
    with _whole_folder(folder, folder / f"step-{step:08d}") as writing:
        with _disk_errors():
            _save_model(model, weights, writing)
            save_file(tensors, writing / "optimizer.safetensors")
        (writing / "state.json").write_text(json.dumps(to_json({**state, "step": step})))
    for older in _checkpoints(folder)[1:]:
        shutil.rmtree(older, ignore_errors=True)


def load_checkpoint(
    folder: Path, run_id: str, model: PreTrainedModel, optimizer: torch.optim.Optimizer, group: Group = ALONE
) -> dict[str, Any] | None:
    """Put the newest readable checkpoint of `run_id` into `model` and `optimizer`.

    Args:
        folder: the run's own checkpoint folder.
        model: as for `save_checkpoint`; whole or sharded.
        group: the processes of the run, which all call this. The first one reads and tells the others, so that only
            its node has to see the folder.

    Returns:
        Its state, `step` among it; None where there is no checkpoint. One that cannot be read (a disk that
        filled up, a file that was edited) counts as none: the run then starts again, with the same result.
    """
    found = None if group.rank else _read_newest(folder, run_id)
    state = group.tell(None if found is None else found[0])
    if state is None:
        return None
    _, weights, tensors = found or ({}, {}, {})
    _restore_weights(model, weights, group)
    _restore_optimizer(model, optimizer, tensors, group)
    return state


def save_final(
    folder: Path, model: PreTrainedModel, tokenizer: Path, group: Group = ALONE, *, masked: bool = False
) -> None:
    """Keep the trained model with its tokenizer in `folder/final`; the run's other checkpoints go.

    Every process of `group` calls this; the first one writes.

    Args:
        folder: the run's own checkpoint folder.
        tokenizer: folder of the data's tokenizer.
        masked: it is a masked language model, whose tokenizer has to have a mask token.
    """
    weights = _weights(model, group)
    if group.rank:
        return
    with _whole_folder(folder, folder / "final") as writing:
        with _disk_errors():
            _save_model(model, weights, writing)
        if tokenizer.is_dir():
            shutil.copytree(tokenizer, writing, dirs_exist_ok=True)
            if masked:
                give_mask_token(writing)
    for older in _checkpoints(folder):
        shutil.rmtree(older, ignore_errors=True)


def load_final(folder: Path, model: PreTrainedModel, group: Group = ALONE) -> None:
    """Put the trained model that `save_final` kept into `model`, which has its dimensions.

    Every process of `group` calls this; only the first one's node has to see the folder.

    Args:
        folder: `final` in the checkpoint folder of a run.
        model: on its device; whole or sharded.

    Raises:
        DataError: there is no such model, or it has other dimensions.
    """
    weights: dict[str, torch.Tensor] = {}
    problem = None
    if not group.rank:
        try:
            weights = load_file(folder / "model.safetensors")
        except (OSError, SafetensorError) as error:
            problem = f"cannot be read ({' '.join(str(error).split())})"
        else:
            shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
            if {name: weights[name].shape for name in weights if name in shapes} != shapes:
                problem = "has other dimensions than the model that is held against it"
    problem = group.tell(problem)
    if problem is not None:
        raise DataError(
            f"reference model {folder}: {problem}; `mixopt doremi` trains it; all nodes must see the folder"
        )
    _restore_weights(model, weights, group)


@contextlib.contextmanager
def _whole_folder(parent: Path, target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` only once it is whole."""
    for abandoned in parent.glob(".writing-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    writing = parent / f".writing-{os.getpid()}"
    writing.mkdir(parents=True)
    yield writing
    shutil.rmtree(target, ignore_errors=True)
    writing.replace(target)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """The system's error as an OSError again: safetensors gives its number in the message only."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _save_model(model: PreTrainedModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """`save_pretrained` into one file, without its progress bar, which would run through the study's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder, state_dict=weights, max_shard_size=2**62)
    finally:
        if shown:
            logging.enable_progress_bar()


def _checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _read_newest(
    folder: Path, run_id: str
) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, torch.Tensor]] | None:
    """State, weights and optimiser's tensors of the newest checkpoint that can be read."""
    for checkpoint in _checkpoints(folder):
        try:
            state = from_json(json.loads((checkpoint / "state.json").read_text()))
            tensors = load_file(checkpoint / "optimizer.safetensors")
            weights = load_file(checkpoint / "model.safetensors")
        except (OSError, ValueError, SafetensorError):
            continue
        if state["run_id"] == run_id:
            return state, weights, tensors
    return None


def _gather_all(tensors: Iterable[tuple[str, torch.Tensor]], group: Group) -> dict[str, torch.Tensor]:
    """Whole tensors by name on the first process; one at a time, as all of a sharded model might not fit."""
    whole = {}
    for name, tensor in tensors:
        gathered = gather(tensor.detach())
        if not group.rank:
            whole[name] = gathered.cpu() if is_sharded(tensor) else gathered.contiguous()
    return whole


def _weights(model: PreTrainedModel, group: Group) -> dict[str, torch.Tensor]:
    """Every parameter by name; a tied output layer is there once, as the embedding."""
    return _gather_all(model.named_parameters(), group)


def _restore_weights(model: PreTrainedModel, weights: dict[str, torch.Tensor], group: Group) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            whole = group.spread(weights.get(name), parameter.shape, parameter.dtype, parameter)
            parameter.copy_(split_like(parameter, whole))


def _optimizer_tensors(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, group: Group
) -> dict[str, torch.Tensor]:
    tensors = _gather_all(
        (
            (f"{key}:{name}", value)
            for name, parameter in model.named_parameters()
            for key, value in optimizer.state.get(parameter, {}).items()
        ),
        group,
    )
    tensors[_RNG] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[_RNG_CUDA] = torch.cuda.get_rng_state()
    return tensors


def _restore_optimizer(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], group: Group
) -> None:
    shapes = group.tell({name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()})
    for name, parameter in model.named_parameters():
        keys = [key for key in shapes if key.partition(":")[2] == name]
        optimizer.state[parameter] = {
            # AdamW keeps its step counter where its fused kernel reads it: beside the parameter.
            key.partition(":")[0]: split_like(parameter, group.spread(tensors.get(key), *shapes[key], parameter))
            for key in keys
        }
    for name, restore in ((_RNG, torch.set_rng_state), (_RNG_CUDA, torch.cuda.set_rng_state)):
        generator = group.tell(tensors.get(name))
        if generator is not None and (name == _RNG or torch.cuda.is_available()):
            restore(generator)
