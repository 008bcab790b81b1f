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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from transformers import PreTrainedModel

_RNG = "rng.cpu"
_RNG_CUDA = "rng.cuda"


def save_checkpoint(
    folder: Path, step: int, model: PreTrainedModel, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write the checkpoint of `step` and then drop the older ones.

    Args:
        folder: the run's own checkpoint folder; made if need be.
        step: steps trained so far.
        model: not compiled, in float32.
        optimizer: AdamW over the model's parameters.
        state: JSON values and numpy arrays (kept exactly), `run_id` among them.
    """
    with _whole_folder(folder, folder / f"step-{step:08d}") as writing:
        with _disk_errors():
            _save_model(model, writing)
            save_file(_optimizer_tensors(model, optimizer), writing / "optimizer.safetensors")
        (writing / "state.json").write_text(json.dumps(_encode({**state, "step": step})))
    for older in _checkpoints(folder)[1:]:
        shutil.rmtree(older, ignore_errors=True)


def load_checkpoint(
    folder: Path, run_id: str, model: PreTrainedModel, optimizer: torch.optim.Optimizer
) -> dict[str, Any] | None:
    """Put the newest readable checkpoint of `run_id` into `model` and `optimizer`.

    Returns:
        Its state, `step` among it; None where there is no checkpoint. One that cannot be read (a disk that
        filled up, a file that was edited) counts as none: the run then starts again, with the same result.
    """
    for checkpoint in _checkpoints(folder):
        try:
            state = _decode(json.loads((checkpoint / "state.json").read_text()))
            tensors = load_file(checkpoint / "optimizer.safetensors")
            weights = load_file(checkpoint / "model.safetensors")
        except (OSError, ValueError, SafetensorError):
            continue
        if state["run_id"] != run_id:
            continue
        # A tied output layer is stored once, as the embedding: it is missing by name, never by value.
        model.load_state_dict(weights, strict=False)
        _restore_optimizer(model, optimizer, tensors)
        return state
    return None


def save_final(folder: Path, model: PreTrainedModel, tokenizer: Path) -> Path:
    """Keep the trained model with its tokenizer in `folder/final`; the run's other checkpoints go."""
    final = folder / "final"
    with _whole_folder(folder, final) as writing:
        with _disk_errors():
            _save_model(model, writing)
        if tokenizer.is_dir():
            shutil.copytree(tokenizer, writing, dirs_exist_ok=True)
    for older in _checkpoints(folder):
        shutil.rmtree(older, ignore_errors=True)
    return final


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


def _save_model(model: PreTrainedModel, folder: Path) -> None:
    """`save_pretrained` without its progress bar, which would run through the study's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder)
    finally:
        if shown:
            logging.enable_progress_bar()


def _checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _optimizer_tensors(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {_RNG: torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors[_RNG_CUDA] = torch.cuda.get_rng_state()
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}:{name}"] = value.detach().contiguous()
    return tensors


def _restore_optimizer(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]
) -> None:
    for name, parameter in model.named_parameters():
        keys = [key for key in tensors if key.partition(":")[2] == name]
        optimizer.state[parameter] = {
            # AdamW keeps its step counter where its fused kernel reads it: beside the parameter.
            key.partition(":")[0]: tensors[key].to(parameter.device)
            for key in keys
        }
    torch.set_rng_state(tensors[_RNG])
    if _RNG_CUDA in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors[_RNG_CUDA])


def _encode(value: Any) -> Any:
    """JSON form of nested state; arrays keep their type, floats their every bit (JSON uses repr)."""
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if isinstance(value, np.ndarray):
        return {"__array__": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if "__array__" in value:
            return np.array(value["__array__"], dtype=value["dtype"])
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value
