"""The training loop: one for every policy, static or online.

Symbols: K training domains, V measured ones, B sequences of L tokens in a step. Losses are read from the device one
step late, so that it never waits for the host; the policy therefore sees step t's losses before it is asked for
step t + 2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mixopt.arrays import Floats, Ints
from mixopt.data.sampler import MixtureSampler
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError
from mixopt.policy import make_policy
from mixopt.result import DomainResult, RunResult, Status
from mixopt.train.batches import draw_numbers
from mixopt.train.checkpoint import load_checkpoint, save_checkpoint, save_final
from mixopt.train.device import Device, Runtime, use_device
from mixopt.train.evaluate import Curve, bits_per_byte
from mixopt.train.learner import Learner
from mixopt.train.parallel import Group
from mixopt.train.recorded import recorded, trace_of
from mixopt.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

    from mixopt.spec import RunSpec


class LateLosses:
    """One step's summed losses by domain: the copy starts now, and `sums` waits for it.

    Args:
        step: which step.
        sums: (K,) summed losses, nats, on the device.
        tokens: (K,) training tokens by domain.
        targets: (K,) those that the losses are of: all of a causal model's, the masked ones of a masked one's.
    """

    def __init__(self, step: int, sums: Tensor, tokens: Ints, targets: Ints) -> None:
        self.step, self.tokens, self.targets = step, tokens, targets
        self._copied: torch.cuda.Event | None = None
        self._host = sums
        if sums.is_cuda:
            self._host = torch.empty(sums.shape, dtype=sums.dtype, pin_memory=True)
            self._host.copy_(sums, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def sums(self) -> Floats:
        """(K,) summed losses, nats."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._host.numpy().astype(np.float64)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint between the step and its reading."""
        return {"step": self.step, "sums": self.sums(), "tokens": self.tokens, "targets": self.targets}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> LateLosses:
        """The inverse of `state_dict`."""
        return cls(state["step"], torch.from_numpy(state["sums"]), state["tokens"], state["targets"])


def train(spec: RunSpec, runtime: Runtime, progress: Callable[[int], None] | None = None) -> RunResult:
    """Train `spec` from its checkpoint, or from the start, to its end.

    In a process that torch.distributed has connected to others, all of them call this with the same arguments and
    train one run together, each on its share of every batch; each returns the result.

    Args:
        runtime: where and how; none of it changes what is measured on the same device and thread count.
        progress: called now and then with the training tokens done.

    Returns:
        The result, `finished` or `diverged`.

    Raises:
        DataError: the data in `runtime.data_dir` is not the spec's, or is damaged.
        ExecutorError: there is no such device.
    """
    with use_device(runtime) as device:
        run = _Run(spec, runtime, device, Group.current())
        points = set(evaluation_steps(spec))
        while run.step < spec.steps and not run.diverged:
            run.train_step()
            if run.step in points:
                run.evaluate()
            if run.checkpoint_is_due():
                run.save()
            if progress:
                progress(run.step * spec.optim.batch_tokens)
        return run.finish()


def evaluation_steps(spec: RunSpec) -> list[int]:
    """Steps after which the validation losses are measured: evenly spaced, the last step always."""
    count = min(spec.evaluation.points, spec.steps)
    return sorted({round(spec.steps * (i + 1) / count) for i in range(count)})


class _Run:
    """The state of one run, and its parts in the order in which the loop calls them."""

    def __init__(self, spec: RunSpec, runtime: Runtime, device: Device, group: Group) -> None:
        self.spec, self.runtime, self.group = spec, runtime, group
        self.started = self.saved = time.monotonic()
        self.data = _open_data(spec, runtime)
        policy = make_policy(spec.policy.name, spec.mixture, dict(spec.policy.options))
        self.learner = Learner(spec, runtime, device, group, self.data, policy)
        self.policy = recorded(policy, spec, evaluation_steps(spec))
        self.sampler = MixtureSampler(
            sequences=self.data.train_sequences(spec.sequence_length, spec.data.domains),
            seed=spec.seed,
            domains=spec.data.domains,
            limits=_sequence_limits(spec),
        )
        self.curve = Curve(spec.data.domains, spec.evaluation.only)
        self.step, self.diverged = 0, False
        self.pending: LateLosses | None = None
        self.train_seconds = self.seconds_before = 0.0
        self._restore()

    def train_step(self) -> None:
        """Draw a batch by the policy's mixture, take one optimiser step, take in the losses of the step before."""
        begun = time.perf_counter()
        drawn = self.sampler.sequences_drawn
        domain_ids, window_ids = self.sampler.next_batch(self.policy.weights(self.step), self.spec.batch_sequences)
        numbers = draw_numbers(domain_ids, drawn)
        sums, targets = self.learner.step(self.step, domain_ids, window_ids, numbers)
        tokens = np.bincount(domain_ids, minlength=len(drawn)) * self.spec.sequence_length
        before, self.pending = self.pending, LateLosses(self.step, sums, tokens, targets)
        self.step += 1
        self._take_in(before)
        self.train_seconds += time.perf_counter() - begun

    def _take_in(self, late: LateLosses | None) -> None:
        """Give a step's losses to the policy and to the curve."""
        if late is None:
            return
        sums = late.sums()
        if not np.isfinite(sums).all():
            self.diverged = True
            self.curve.close_stretch(late.step, late.step * self.spec.optim.batch_tokens)
            return
        self.curve.add_step(sums, late.targets)
        with np.errstate(invalid="ignore"):
            self.policy.observe(late.step, sums / late.targets, late.tokens)

    def evaluate(self) -> None:
        """Measure the validation losses and close a stretch of the curve."""
        begun = time.perf_counter()
        self._take_in(self.pending)
        self.pending = None
        self.train_seconds += time.perf_counter() - begun
        if self.diverged:
            return
        evaluation = self.spec.evaluation
        final = self.step == self.spec.steps
        tokens = evaluation.tokens_per_domain if final else evaluation.point_tokens_per_domain
        losses = self.learner.validate(tokens)
        weights = self.policy.weights(self.step)
        self.curve.add_point(self.step, self.step * self.spec.optim.batch_tokens, losses, weights)
        self.diverged = not np.isfinite(losses).all()

    def checkpoint_is_due(self) -> bool:
        """Whether there is a folder for checkpoints and the last one is long enough ago, by the first process."""
        elapsed = time.monotonic() - self.saved
        return self.runtime.checkpoint_dir is not None and self.group.agree(elapsed >= self.runtime.checkpoint_seconds)

    def save(self) -> None:
        """Write a checkpoint from which the run goes on bitwise as if nothing had happened."""
        state = {
            "run_id": self.spec.run_id,
            "sampler": self.sampler.state_dict(),
            "policy": self.policy.state_dict(),
            "curve": self.curve.state_dict(),
            "pending": self.pending.state_dict() if self.pending else None,
            "diverged": self.diverged,
            "train_seconds": self.train_seconds,
            "seconds": self._seconds(),
        }
        learner = self.learner
        save_checkpoint(self._checkpoints(), self.step, learner.model, learner.optimizer, state, self.group)
        self.saved = time.monotonic()

    def _restore(self) -> None:
        if self.runtime.checkpoint_dir is None:
            return
        learner = self.learner
        state = load_checkpoint(self._checkpoints(), self.spec.run_id, learner.model, learner.optimizer, self.group)
        if state is None:
            return
        self.step, self.diverged = state["step"], state["diverged"]
        self.sampler.load_state_dict(state["sampler"])
        self.policy.load_state_dict(state["policy"])
        self.curve.load_state_dict(state["curve"])
        self.pending = LateLosses.from_state_dict(state["pending"]) if state["pending"] else None
        self.train_seconds, self.seconds_before = state["train_seconds"], state["seconds"]

    def _checkpoints(self) -> Path:
        assert self.runtime.checkpoint_dir is not None
        return Path(self.runtime.checkpoint_dir)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def finish(self) -> RunResult:
        """The result of the run as it stands; keeps the trained model if that was asked for."""
        spec, status = self.spec, "diverged" if self.diverged else "finished"
        if self.runtime.keep_checkpoint and status == "finished" and self.runtime.checkpoint_dir:
            tokenizer = Path(self.runtime.data_dir) / "tokenizer"
            masked = spec.objective == "masked"
            save_final(self._checkpoints(), self.learner.model, tokenizer, self.group, masked=masked)
        tokens = self.step * spec.optim.batch_tokens
        return RunResult(
            run_id=spec.run_id,
            status=status,
            domains=self._domain_results(status),
            tokens=tokens,
            parameters=self.learner.parameters,
            flops=tokens * spec.flops_per_token,
            train_seconds=self.train_seconds,
            seconds=self._seconds(),
            device=self.learner.label,
            error=f"a loss was not finite at step {self.step} of {spec.steps}" if self.diverged else None,
            curve=self.curve.rows,
            mixture=self.curve.mixture,
            versions=_versions(),
            trace=trace_of(self.policy, self.step),
        )

    def _domain_results(self, status: Status) -> dict[str, DomainResult]:
        results = {}
        losses = self.curve.last_validation() if status == "finished" else {}
        train_losses = self.curve.last_training()
        drawn, unique = self.sampler.sequences_drawn, self.sampler.unique_sequences
        length, trained = self.spec.sequence_length, len(self.spec.data.domains)
        for index, name in enumerate(self.spec.measured):
            loss = losses.get(name)
            results[name] = DomainResult(
                loss=loss,
                bits_per_byte=self._bits_per_byte(name, loss),
                train_loss=train_losses.get(name),
                tokens_seen=int(drawn[index]) * length if index < trained else 0,
                unique_tokens=int(unique[index]) * length if index < trained else 0,
            )
        return results

    def _bits_per_byte(self, domain: str, loss: float | None) -> float | None:
        """None for a masked model as well, whose losses are of some tokens only and no likelihood of the text."""
        if loss is None or self.spec.objective == "masked":
            return None
        entry = next(entry for entry in self.data.manifest.domains if entry.name == domain)
        return bits_per_byte(loss, entry.validation)


def _open_data(spec: RunSpec, runtime: Runtime) -> TokenData:
    data = TokenData.open(runtime.data_dir)
    if data.manifest.fingerprint != spec.data.fingerprint:
        raise DataError(
            f"{runtime.data_dir}: expected data with fingerprint {spec.data.fingerprint[:12]}, found "
            f"{data.manifest.fingerprint[:12]}; the folder was prepared again since the run was planned"
        )
    return data


def _sequence_limits(spec: RunSpec) -> tuple[int | None, ...] | None:
    if spec.data.unique_tokens is None:
        return None
    return tuple(
        None if tokens is None else max(1, math.ceil(tokens / spec.sequence_length))
        for tokens in spec.data.unique_tokens
    )


def _versions() -> dict[str, Any]:
    import platform

    import transformers

    return {
        "mixopt": __version__,
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
