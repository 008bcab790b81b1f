"""Traces of online policies: the policies themselves, driven over losses of known laws."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mixopt.laws.annealing import AnnealingLaws
from mixopt.laws.domain_law import DomainLaws
from mixopt.mixture import Mixture
from mixopt.model_spec import ModelSpec
from mixopt.policy import make_policy
from mixopt.report.online_data import schedule_of
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec
from mixopt.train.recorded import recorded, trace_of

BATCH, CONTEXT = 64, 16
# What ADO is told of a run's learning rate.
AWARE = (("law", "schedule-aware"), ("lr_schedule", "cosine"), ("lr_warmup", 0.1), ("lr_final", 0.1))


def make_spec(domains: tuple[str, ...], steps: int, policy: str = "ado", options: tuple = ()) -> RunSpec:
    count = len(domains)
    shares = np.arange(count, 0, -1.0) ** 1.5
    given = dict(options)
    if policy == "ado":
        given |= {"total_steps": steps, "tokens_per_sample": CONTEXT}
        if given.get("law") == "schedule-aware":
            given["total_tokens"] = steps * BATCH
    return RunSpec(
        model=ModelSpec(family="gpt2", vocab_size=64, context=CONTEXT, width=8, layers=1, heads=1),
        data=DataSpec(fingerprint="f" * 32, domains=domains),
        policy=PolicySpec(name=policy, weights=tuple(shares / shares.sum()), options=given),
        optim=OptimSpec(batch_tokens=BATCH),
        evaluation=EvalSpec(),
        tokens=steps * BATCH,
        sequence_length=CONTEXT,
        seed=0,
    )


def true_laws(spec: RunSpec) -> AnnealingLaws:
    """Laws of n in tokens."""
    schedule, k = schedule_of(spec), np.arange(len(spec.data.domains))
    alpha = 0.25 + 0.3 * np.modf(0.37 * k)[0]
    unit = np.log(0.05 * spec.tokens)
    forward = DomainLaws(np.log(1.2 + 0.6 * np.sin(k)) + alpha * unit, np.log(2.0 + 0.7 * np.cos(2 * k)), alpha)
    drop = 0.02 + 0.12 * np.modf(0.61 * k)[0]
    return AnnealingLaws(forward, drop / schedule.annealing(spec.tokens), schedule)


@lru_cache
def make_trace(
    domains: tuple[str, ...], steps: int = 600, policy: str = "ado", options: tuple = (), noise: float = 0.02
):
    """The trace of a run whose losses follow `true_laws`, with noise that falls with the tokens behind them."""
    spec = make_spec(domains, steps, policy, options)
    inner = make_policy(policy, Mixture(domains, spec.policy.weights), spec.policy.options)
    watched = recorded(inner, spec, {steps // 4, steps // 2, steps})
    rng = np.random.default_rng(0)
    truth = true_laws(spec).loss(BATCH * np.arange(1.0, steps + 1))
    for step in range(steps):
        tokens = rng.multinomial(BATCH // CONTEXT * 8, watched.weights(step)) * CONTEXT // 8
        losses = truth[step] * np.exp(noise * rng.standard_normal(len(domains)) / np.sqrt(np.maximum(tokens, 1) / 8))
        watched.observe(step, np.where(tokens > 0, losses, np.nan), tokens)
    trace = trace_of(watched, steps)
    assert trace is not None
    return trace
