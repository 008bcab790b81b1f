"""The device of a run: threads, precision, and moving batches to it."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from mixopt.errors import ExecutorError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from mixopt.evaluation import EvalRuntime


# malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Device:
    """Where tensors live and in which precision products are computed."""

    name: str  # `cpu` or `cuda`
    bfloat16: bool  # matrix products in bfloat16 by autocast; parameters stay float32
    label: str  # in words, for the results table

    def put(self, array: NDArray[Any]) -> Tensor:
        """An array on this device; the copy to a GPU does not block."""
        tensor = torch.from_numpy(array)
        if self.name == "cpu":
            return tensor
        return tensor.pin_memory().to(self.name, non_blocking=True)

    def autocast(self) -> torch.autocast:
        """The context of a forward pass."""
        return torch.autocast(self.name, dtype=torch.bfloat16, enabled=self.bfloat16)


@contextlib.contextmanager
def use_device(runtime: Runtime | EvalRuntime) -> Iterator[Device]:
    """The device of a run or an evaluation, with torch's threads set for it and put back afterwards.

    Raises:
        ExecutorError: a GPU was asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if runtime.device == "cuda" and not has_gpu:
        raise ExecutorError("device: a GPU was asked for and torch finds none; use `device: cpu` or `auto`")
    name = "cuda" if has_gpu and runtime.device != "cpu" else "cpu"
    bfloat16 = runtime.precision == "bfloat16" or (runtime.precision == "auto" and name == "cuda")
    label = torch.cuda.get_device_name() if name == "cuda" else f"cpu x{runtime.threads}"
    threads = torch.get_num_threads()
    matmul = torch.get_float32_matmul_precision()
    torch.set_num_threads(runtime.threads)
    if name == "cuda":
        torch.set_float32_matmul_precision("high")
    else:
        _keep_freed_memory()
    try:
        yield Device(name, bfloat16, label)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)


def _keep_freed_memory() -> None:
    """Tell glibc to keep what a step frees for the next step, in place of giving it back and faulting it in again.

    For the rest of the process: a tenth of a small model's time on a CPU. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
        mallopt(_M_TRIM_THRESHOLD, 512 * 2**20)


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Everything about a run that is not its identity."""

    data_dir: str  # folder of the prepared data
    # folder for this run's checkpoints (the run's own, made on demand); None for none
    checkpoint_dir: str | None = None
    # folder of the trained model of the run that `spec.policy.reference` names; None for no such run
    reference_dir: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"  # `auto` takes a GPU where there is one
    threads: int = 1  # CPU threads
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # `auto` is bfloat16 on a GPU, float32 on a CPU
    compile: bool = False  # use `torch.compile`
    # sequences in one forward pass of a process; None for its whole share of the batch (gradients accumulate otherwise)
    micro_batch: int | None = None
    # of a run on several processes: `none` has the model whole on each (DDP), `fsdp` splits parameters, gradients and
    # moments (FSDP2)
    sharding: Literal["none", "fsdp"] = "none"
    checkpoint_seconds: float = 60.0  # least time between two checkpoints
    keep_checkpoint: bool = False  # leave the trained model in `checkpoint_dir/final` (`from_pretrained` reads it)
