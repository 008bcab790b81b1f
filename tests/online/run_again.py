"""Run a script, then again with `--resume` after its last checkpoints were moved away, in the same processes.

    python -m accelerate.commands.launch … run_again.py OUT KEPT CHECKPOINTS SCRIPT [ARGUMENTS]

Between the two runs everything random is set to something else, as it would be in new processes.
"""

from __future__ import annotations

import random
import runpy
import sys
from pathlib import Path

import numpy as np
import torch
from torch import distributed


def main() -> None:
    """See above; CHECKPOINTS are steps, `6,8`."""
    out, kept, steps, script, *arguments = sys.argv[1:]
    sys.argv = [script, *arguments, "--out", out]
    runpy.run_path(script, run_name="__main__")
    distributed.barrier()
    if distributed.get_rank() == 0:
        for step in steps.split(","):
            Path(out, f"checkpoint-{step}").rename(Path(kept, f"checkpoint-{step}"))
    distributed.barrier()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (Trainer's is this one)
    torch.manual_seed(1)
    sys.argv = [*sys.argv, "--resume"]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
