"""What an online policy costs a training run: its CPU seconds over those of training.

    OMP_NUM_THREADS=1 python benchmarks/online_overhead.py [--data demo/data]

Three measurements, all in CPU seconds of one thread, so that other programs on the machine do not count:

1. a real run of a small model with ADO: inside the loop, the policy's calls with their recording, the fits (on
   their own thread), and the training steps around them;
2. a policy alone through the paper's run, 60,000 steps of 22 domains with 60 fits: a step's cost is independent of
   the model;
3. a step of a larger model, from sequences of its context; a batch of the paper's 256 costs as many times more.

The last lines put 2 and 3 together: the share of training at that size on this CPU, and on GPUs at 40 % of their
peak. They are extrapolations, as nobody trains 60,000 such steps here. On GPUs the calls are hidden behind the
device's work (the loop reads losses a step late), and fits have a thread of their own.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.mixture import Mixture
from mixopt.policy import Ado, ado, refit
from mixopt.study import Study
from mixopt.study.expected import PEAK_TFLOPS
from mixopt.study.policies import PolicyAsked, plan_policies
from mixopt.train import loop, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

MFU = 0.4
PAPER_STEPS, PAPER_DOMAINS, PAPER_SEQUENCES = 60_000, 22, 256


class Clock:
    """CPU seconds inside functions, by name: of the calling thread, or of the whole process.

    Time in a function that is counted itself, in the same thread, does not count for its caller: short runs fit in
    the loop and not on another thread.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = threading.local()

    @contextmanager
    def on(self, owner: Any, method: str, name: str, now: Callable[[], float] = time.thread_time) -> Iterator[None]:
        """Count the time in `owner.method` under `name`."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            outer, self._inner.seconds = getattr(self._inner, "seconds", 0.0), 0.0
            begun = now()
            try:
                return original(*args, **kwargs)
            finally:
                spent = now() - begun
                own = spent if now is time.process_time else spent - self._inner.seconds
                self.seconds[name] = self.seconds.get(name, 0.0) + own
                self._inner.seconds = outer + spent

        setattr(owner, method, timed)
        try:
            yield
        finally:
            setattr(owner, method, original)


def trained(spec: RunSpec, study: Study) -> tuple[RunResult, dict[str, float]]:
    """A run, and the CPU seconds of its parts."""
    clock, policy = Clock(), recorded._Recorded
    with (
        clock.on(loop._Run, "train_step", "training", time.process_time),
        clock.on(policy, "weights", "policy"),
        clock.on(policy, "observe", "policy"),
        clock.on(ado, "refit_laws", "fits"),
    ):
        return loop.train(spec, study.runtime(spec.run_id)), clock.seconds


def small_run(data: str, tokens: str, results: str) -> None:
    """ADO in a run as `mixopt ado-train` does it."""
    training = {"batch_tokens": 1024, "sequence_length": 128, "max_epochs": 100}
    evaluation = {"tokens_per_domain": 256}
    study = Study(data, model="gpt2-0.4m", results=results, training=training, evaluation=evaluation)
    (run,) = plan_policies(study, {"ado": PolicyAsked()}, study_tokens(tokens), (0,))
    result, seconds = trained(run.spec, study)
    steps, fits = run.spec.steps, len(result.trace.moments) if result.trace else 0
    training_seconds = seconds["training"]
    print(f"gpt2-0.4m, {steps:,} steps of 1,024 tokens, {len(run.spec.data.domains)} domains, {fits} fits")
    print(f"  training                  {1e3 * training_seconds / steps:9.3f} ms a step")
    for name, key in (("policy and recording", "policy"), ("fits of laws", "fits")):
        share = seconds.get(key, 0.0) / training_seconds
        print(f"  {name:<24}  {1e3 * seconds.get(key, 0.0) / steps:9.3f} ms a step, {share:.3%} of training")


def study_tokens(text: str) -> int:
    from mixopt.units import parse_count

    return parse_count(text, "--tokens")


def policy_alone(steps: int) -> tuple[float, float]:
    """CPU seconds a step of ADO's calls and of its fits, through a run like the paper's."""
    rng, domains = np.random.default_rng(0), PAPER_DOMAINS
    share = rng.dirichlet(np.full(domains, 2.0))
    names = tuple(f"domain {k}" for k in range(domains))
    policy = Ado(Mixture(names, tuple((share / share.sum()).tolist())), total_steps=steps)
    eps, scale, alpha = rng.uniform(1.2, 3, domains), rng.uniform(2, 8, domains), rng.uniform(0.1, 0.5, domains)
    losses = eps + scale * (PAPER_SEQUENCES * np.arange(1.0, steps + 1)[:, None]) ** -alpha
    losses *= np.exp(0.02 * rng.standard_normal(losses.shape))
    clock = Clock()
    with clock.on(refit, "_fit", "fits"), clock.on(Ado, "observe", "calls"), clock.on(Ado, "weights", "calls"):
        for step in range(steps):
            drawn = rng.multinomial(PAPER_SEQUENCES, policy.weights(step) / policy.weights(step).sum())
            policy.observe(step, np.where(drawn > 0, losses[step], np.nan), drawn * 1024)
        policy.state_dict()  # waits for the last fit
    calls = clock.seconds["calls"]
    print(f"ADO alone, {steps:,} steps, {domains} domains, {len(policy.refits)} fits")
    print(f"  calls                     {1e6 * calls / steps:9.1f} µs a step")
    print(f"  fits, on their thread     {1e6 * clock.seconds['fits'] / steps:9.1f} µs a step")
    return calls / steps, clock.seconds["fits"] / steps


def large_step(data: str, preset: str, sequences: int, steps: int, results: str) -> tuple[float, float]:
    """CPU seconds and FLOPs of a step of 256 sequences of the model's context."""
    model = {"preset": preset, "vocab_size": 50304}
    length = Study(data, model=model, results=results).model.context
    training = {"batch_tokens": sequences * length, "max_epochs": 100}
    study = Study(data, model=model, results=results, training=training, evaluation={"tokens_per_domain": 1})
    (run,) = plan_policies(study, {"odm": PolicyAsked("odm")}, steps * sequences * length, (0,))
    _, seconds = trained(run.spec, study)
    each = seconds["training"] / steps / sequences
    print(f"{preset}, {steps} steps of {sequences} sequences of {length} tokens: {each:.2f} s a sequence")
    return each * PAPER_SEQUENCES, run.spec.flops / steps / sequences * PAPER_SEQUENCES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="demo/data", help="folder of prepared data")
    parser.add_argument("--tokens", default="400k", help="of the small run")
    parser.add_argument("--steps", type=int, default=PAPER_STEPS, help="of the policy alone")
    parser.add_argument("--model", default="gpt2-124m", help="the larger model")
    parser.add_argument("--sequences", type=int, default=1, help="of each of its steps")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small_run(given.data, given.tokens, folder)
        calls, fits = policy_alone(given.steps)
        step, flops = large_step(given.data, given.model, given.sequences, 3, folder)
    print(f"{given.model}, steps of {PAPER_SEQUENCES} sequences, {flops:.2g} FLOPs each:")
    on_gpu = flops / (MFU * PEAK_TFLOPS["H100"] * 1e12)
    for where, seconds in (("one thread here", step), ("1 H100", on_gpu), ("8 H100", on_gpu / 8)):
        print(f"  {where:<16} {seconds:10.3f} s a step; calls {calls / seconds:.1e} of it, fits {fits / seconds:.1e}")


if __name__ == "__main__":
    main()
