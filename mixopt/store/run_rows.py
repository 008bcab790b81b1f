"""A run as rows of the table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mixopt.spec import NUMERICS
from mixopt.store.schema import MEASURED_COLUMNS

if TYPE_CHECKING:
    from mixopt.result import RunResult
    from mixopt.spec import RunSpec


def run_rows(spec: RunSpec, result: RunResult, created: str) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """The row of `runs`, and those of `run_domains`, in the order of their columns.

    Args:
        spec: what was asked for.
        result: what came out.
        created: ISO 8601, UTC.
    """
    model = spec.model
    row = (
        spec.run_id, result.status, created, NUMERICS, spec.data.fingerprint,
        f"{model.family} {model.layers}x{model.width}", spec.policy.name, spec.seed, result.tokens,
        result.parameters, result.flops, result.train_seconds, result.seconds, result.device, result.error,
        json.dumps(result.versions), spec.to_json(),
    )  # fmt: skip
    weights = spec.mixture.to_dict()
    domains: list[tuple[Any, ...]] = []
    for position, domain in enumerate(dict.fromkeys((*weights, *result.domains))):
        part = result.domains.get(domain)
        measured = [getattr(part, name, None) for name in MEASURED_COLUMNS]
        domains.append((spec.run_id, position, domain, weights.get(domain), *measured))
    return row, domains
