"""Runs that nobody trained: their curves follow a law, so that every comparison has a closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mixopt.model_spec import ModelSpec
from mixopt.presets import model_spec
from mixopt.result import DomainResult, RunResult
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mixopt.result import Status

TOKENS = 2_000_000


def power_law(offset: float, amplitude: float, exponent: float = 0.3) -> Callable[[float, str], float]:
    """a + b·tokens^−c, the same in every domain."""
    return lambda tokens, _: offset + amplitude * tokens**-exponent


def make_spec(weights: Mapping[str, float], seed: int = 0, **changes: object) -> RunSpec:
    """A small spec; `changes` are fields of `RunSpec`, or `fingerprint` and `only`."""
    fields = dict(changes)
    only = tuple(fields.pop("only", ()))  # type: ignore[arg-type]
    model = fields.pop("model", None) or model_spec("gpt2-0.2m", 300)
    assert isinstance(model, ModelSpec)
    content = {
        "model": model,
        "data": DataSpec(fingerprint=str(fields.pop("fingerprint", "f" * 16)), domains=tuple(weights)),
        "policy": PolicySpec(weights=tuple(weights.values())),
        "optim": OptimSpec(batch_tokens=1000),
        "evaluation": EvalSpec(tokens_per_domain=4096, points=20, point_tokens_per_domain=4096, only=only),
        "tokens": TOKENS,
        "sequence_length": 100,
        "seed": seed,
        **fields,
    }
    return RunSpec(**content)  # type: ignore[arg-type]


def make_run(
    spec: RunSpec, law: Callable[[float, str], float], status: Status = "finished", bytes_per_token: float = 2.0
) -> tuple[RunSpec, RunResult]:
    """The spec and what a run on it would have measured if losses followed `law`."""
    curve: dict[str, list[object]] = {name: [] for name in ("step", "tokens", "split", "domain", "loss")}
    points = min(spec.evaluation.points, spec.steps)
    for point in range(1, points + 1):
        step = round(spec.steps * point / points)
        tokens = step * spec.optim.batch_tokens
        for domain in spec.measured:
            for name, value in zip(curve, (step, tokens, "validation", domain, law(tokens, domain)), strict=True):
                curve[name].append(value)
    weights = spec.mixture.to_dict()
    good = status == "finished"
    domains = {
        domain: DomainResult(
            loss=law(spec.tokens, domain) if good else None,
            bits_per_byte=law(spec.tokens, domain) / math.log(2) / bytes_per_token if good else None,
            train_loss=None,
            tokens_seen=round(spec.tokens * weights.get(domain, 0.0)),
            unique_tokens=spec.tokens if domain in weights else 0,
        )
        for domain in spec.measured
    }
    result = RunResult(
        run_id=spec.run_id,
        status=status,
        domains=domains,
        tokens=spec.tokens,
        parameters=spec.model.parameters,
        flops=spec.flops,
        train_seconds=1.0,
        seconds=1.0,
        device="none",
        error=None if good else "a loss was not finite at step 3 of 9",
        curve=curve,
    )
    return spec, result
