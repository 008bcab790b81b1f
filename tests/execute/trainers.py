"""Small trainers for tests of executors: deterministic, resumable, and able to fail on request."""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.errors import DataError
from mixopt.mixture import Mixture
from mixopt.model_spec import ModelSpec
from mixopt.result import DomainResult, RunResult
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.train.device import Runtime

DOMAINS = ("code", "prose", "legal")


def make_spec(
    weights: tuple[float, ...] = (0.5, 0.25, 0.25), *, tokens: int = 512, seed: int = 0, name: str = "f" * 32
) -> RunSpec:
    """A small valid spec."""
    return RunSpec(
        model=ModelSpec(family="gpt2", vocab_size=64, context=16, width=8, layers=1, heads=1),
        data=DataSpec(fingerprint=name, domains=DOMAINS),
        policy=PolicySpec(weights=weights),
        optim=OptimSpec(batch_tokens=64),
        evaluation=EvalSpec(),
        tokens=tokens,
        sequence_length=16,
        seed=seed,
    )


def law(spec: RunSpec, runtime: Runtime, progress: Callable[[int], None] | None = None) -> RunResult:
    """A trainer without training: each domain's loss is a power law in its own tokens, with a little seed noise."""
    seen = dict(zip(DOMAINS, spec.mixture.counts(spec.tokens).tolist(), strict=True))
    noise = 17 * spec.seed + 99 * spec.policy.weights[0]
    losses = {
        domain: 2.0 + 0.5 * index + (seen[domain] + 50.0) ** -0.3 + 1e-4 * math.sin(noise + index)
        for index, domain in enumerate(DOMAINS)
    }
    if progress:
        progress(spec.tokens)
    return RunResult(
        run_id=spec.run_id,
        status="finished",
        domains={
            domain: DomainResult(
                loss=losses[domain],
                bits_per_byte=losses[domain] / 2,
                train_loss=losses[domain],
                tokens_seen=seen[domain],
                unique_tokens=1000,
            )
            for domain in DOMAINS
        },
        tokens=spec.tokens,
        parameters=spec.model.parameters,
        flops=spec.flops,
        train_seconds=0.5,
        seconds=1.0,
        device="none",
        curve={
            "step": [1] * 3,
            "tokens": [spec.tokens] * 3,
            "split": ["validation"] * 3,
            "domain": list(DOMAINS),
            "loss": list(losses.values()),
        },
        mixture={"step": [1] * 3, "domain": list(DOMAINS), "weight": list(spec.policy.weights)},
    )


def moody(spec: RunSpec, runtime: Runtime, progress: Callable[[int], None] | None = None) -> RunResult:
    """`law`, but seed 7 always raises, seed 8 the first time, 9 is killed the first time
    (SIGKILL), 13 finds bad data and 14 a full disk.

    It leaves a trained model, which is its seed, where it is asked to.
    """
    folder = Path(runtime.checkpoint_dir or "")
    folder.mkdir(parents=True, exist_ok=True)
    first = not (folder / "tried").exists()
    (folder / "tried").touch()
    if spec.seed == 7 or (spec.seed == 8 and first):
        raise ValueError(f"seed {spec.seed} is\nnot any good")
    if spec.seed == 9 and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if spec.seed == 13:
        raise DataError("tokens/code.bin: truncated")
    if spec.seed == 14:
        raise OSError(errno.ENOSPC, "No space left on device", "step-3.pt")
    if runtime.keep_checkpoint:
        (folder / "final").mkdir(exist_ok=True)
        (folder / "final" / "model").write_text(str(spec.seed))
    return law(spec, runtime, progress)


def slow(spec: RunSpec, runtime: Runtime, progress: Callable[[int], None] | None = None) -> RunResult:
    """`law` in ten steps of 0.2 s."""
    for step in range(10):
        time.sleep(0.2)
        if progress:
            progress(spec.tokens * (step + 1) // 10)
    return law(spec, runtime)


def fragile(spec: RunSpec, runtime: Runtime, progress: Callable[[int], None] | None = None) -> RunResult:
    """`law` in four steps kept in a checkpoint; the first process of seed 1 is killed halfway (SIGKILL)."""
    folder = Path(runtime.checkpoint_dir or "")
    folder.mkdir(parents=True, exist_ok=True)
    while len(list(folder.glob("step-*"))) < 4:
        done = len(list(folder.glob("step-*")))
        (folder / f"step-{done}").write_text(str(os.getpid()))
        if spec.seed == 1 and done == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    return law(spec, runtime, progress)


def uniform_spec(seed: int = 0) -> RunSpec:
    """The uniform mixture with `seed`."""
    return make_spec(Mixture.uniform(DOMAINS).weights, seed=seed)
