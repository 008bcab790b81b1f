"""lm-eval made to fit a worker: quiet, off the network where there is none, models and tasks from local folders."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.errors import DataError
from mixopt.evaluate.tasks_files import data_name, data_paths

if TYPE_CHECKING:
    from lm_eval.models.huggingface import HFLM

    from mixopt.evaluation import EvalRuntime, EvalTask
    from mixopt.train.device import Device


# Seconds to wait for its first answer.
_PATIENCE = 5.0


def unreachable() -> str | None:
    """Why the hub, or the mirror in `HF_ENDPOINT`, does not answer; None where it does, whatever it says."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:  # the client's library has its own kinds of errors, by version
        return " ".join(str(error).split()) or type(error).__name__
    return None


@contextlib.contextmanager
def offline(on: bool) -> Iterator[None]:
    """Let the hub's libraries use their caches only: else each request is tried again for minutes."""
    import datasets.config
    from huggingface_hub import constants

    places = ((constants, "HF_HUB_OFFLINE"), (datasets.config, "HF_HUB_OFFLINE"))
    before = [getattr(module, name) for module, name in places]
    try:
        for module, name in places if on else ():
            setattr(module, name, True)
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


# Most items of a forward pass. On a CPU, 100 questions with 0.4M parameters take 1.3 s of CPU with 8 to 64, 2.2 s
# with 1 and 1.9 s with 256.
_ITEMS = {"cpu": 32, "cuda": 256}

# Most numbers in its logits, (items, positions, vocabulary): a gigabyte or two, and as much again for the softmax.
# Few items are as long as the model's context, so that it is rarely reached.
_LOGITS = {"cpu": 2**28, "cuda": 2**29}


# lm-eval's own seeds (`lm_eval.defaults`), by which solved examples are drawn.
_RANDOM_SEED, _OTHER_SEED = 0, 1234


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No logs, warnings and bars of lm-eval and the libraries under it; standard output is for answers."""
    import datasets
    import lm_eval.models.huggingface  # noqa: F401 (so that its bars are known below)
    import tqdm
    from transformers.utils import logging as transformers_logging

    shown = tqdm.tqdm
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # it prints when it bootstraps
        drawing: list[Any] = [module for name, module in sys.modules.items() if name.startswith("lm_eval.")]
        for module in [tqdm, *drawing]:
            if getattr(module, "tqdm", None) is shown:
                stack.callback(setattr, module, "tqdm", shown)
                module.tqdm = lambda *items, **options: shown(*items, **{**options, "disable": True})
        for name in ("lm_eval", "datasets"):
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        if datasets.is_progress_bar_enabled():
            datasets.disable_progress_bars()
            stack.callback(datasets.enable_progress_bars)
        if transformers_logging.is_progress_bar_enabled():
            transformers_logging.disable_progress_bar()
            stack.callback(transformers_logging.enable_progress_bar)
        yield


@contextlib.contextmanager
def lm_eval_seeds() -> Iterator[None]:
    """The seeds that `lm_eval.simple_evaluate` sets; the caller's generators are put back."""
    import torch

    # lm-eval draws from numpy's global generator.
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        random.seed(_RANDOM_SEED)
        np.random.seed(_OTHER_SEED)  # noqa: NPY002
        torch.manual_seed(_OTHER_SEED)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def one_process() -> Iterator[None]:
    """Let lm-eval bootstrap in this process; it would fork a pool on all of the machine's cores."""
    before = os.environ.get("DISABLE_MULTIPROC")
    os.environ["DISABLE_MULTIPROC"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["DISABLE_MULTIPROC"]
        else:
            os.environ["DISABLE_MULTIPROC"] = before


def open_model(checkpoint: Path, runtime: EvalRuntime, device: Device) -> HFLM:
    """The checkpoint as lm-eval's model, on its device.

    Raises:
        DataError: it cannot be loaded.
    """
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        dtype = "auto" if device.bfloat16 else "float32"
        model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=dtype)
    except Exception as error:  # transformers, tokenizers and safetensors have many kinds
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"checkpoint {checkpoint}: it cannot be loaded ({type(error).__name__}: {reason})") from error
    model.to(device.name)
    config = model.config
    positions = getattr(config, "max_position_embeddings", None) or 2048
    fitting = min(_ITEMS[device.name], max(1, _LOGITS[device.name] // (positions * config.vocab_size)))
    wrap: Any = HFLM  # its signature is lost behind its registration
    return wrap(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=runtime.batch_size or fitting,
        mixed_precision_dtype="bfloat16" if device.bfloat16 else None,
        # Sums of log-likelihoods need more than bfloat16's three digits.
        softmax_dtype="float32" if device.bfloat16 else None,
    )


def load_task(task: EvalTask, folder: Path) -> dict[str, Any]:
    """lm-eval's objects for a task: its `TaskManager.load`.

    Args:
        task: with files of its own, or known to lm-eval by name.
        folder: empty; for the task's files and what `datasets` makes of them.

    Raises:
        KeyError: the worker's lm-eval does not know the name.
    """
    from lm_eval.tasks import TaskManager

    if not task.files:
        from mixopt.evaluate.tasks_index import folders_of

        manager = TaskManager(include_path=list(folders_of(task.name)), include_defaults=False)
        return dict(manager.load([task.name]))
    from lm_eval.tasks._yaml_loader import load_yaml

    for name, content in task.files:
        path = folder / "task" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    manager = TaskManager(include_path=folder / "task", include_defaults=False)
    config = load_yaml(manager.task_index[task.name].yaml_path or "")
    paths = data_paths(config)
    if paths:
        data = {split: [str(folder / "task" / data_name(one)) for one in listed] for split, listed in paths.items()}
        # Beside the files: in the user's cache a copy would stay behind for each evaluation.
        own = {"data_files": data, "cache_dir": str(folder / "cache")}
        config["dataset_kwargs"] = {**(config.get("dataset_kwargs") or {}), **own}
    return dict(manager.load([config]))
