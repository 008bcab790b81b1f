"""Where and how a run is trained: what may change without changing what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Everything about a run that is not its identity.

    Attributes:
        data_dir: folder of the prepared data.
        checkpoint_dir: folder for this run's checkpoints (the run's own, made on demand); None for none.
        reference_dir: folder of the trained model of the run that `spec.policy.reference` names; None for no such
            run.
        device: `auto` takes a GPU where there is one.
        threads: CPU threads.
        precision: `auto` is bfloat16 on a GPU, float32 on a CPU.
        compile: use `torch.compile`.
        micro_batch: sequences in one forward pass of a process; None for its whole share of the batch (gradients
            accumulate otherwise).
        sharding: of a run on several processes: `none` has the model whole on each (DDP), `fsdp` splits
            parameters, gradients and moments (FSDP2).
        checkpoint_seconds: least time between two checkpoints.
        keep_checkpoint: leave the trained model in `checkpoint_dir/final` (`from_pretrained` reads it).
    """

    data_dir: str
    checkpoint_dir: str | None = None
    reference_dir: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    micro_batch: int | None = None
    sharding: Literal["none", "fsdp"] = "none"
    checkpoint_seconds: float = 60.0
    keep_checkpoint: bool = False
