"""Tables from a user's own function of mixture, model size and tokens, evaluated on a pool of drawn mixtures."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from mixopt.arrays import Floats
from mixopt.bench.base import Table
from mixopt.bench.csv_runs import priced, scale_name
from mixopt.errors import ConfigError
from mixopt.plugins import is_path, load
from mixopt.units import parse_count

Surrogate = Callable[[Floats, int, int], Any]

_POOL_SEED = 0


def surrogate_table(
    function: Surrogate | str, domains: Sequence[str], scales: Sequence[tuple[int, int]], *, pool: int = 256
) -> Table:
    """A table of a surrogate's losses; shorter runs of one size are points of the longer one's curve.

    Args:
        function: called with weights (M, K), parameters and tokens; returns losses in nats/token, (M, V), or (M,)
            for one. As text: `module:name`, looked up beside installed modules in the current folder.
        scales: (parameters, tokens) of each fidelity; the one of most FLOPs is the target.

    Raises:
        ConfigError: no such function, or losses that are not finite numbers of one shape.
    """
    name = function if isinstance(function, str) else getattr(function, "__name__", "function")
    call = _find(function) if isinstance(function, str) else function
    if len(set(domains)) != len(domains) or len(domains) < 2:
        raise ConfigError(f"surrogate {name}: expected two or more different domains, found {', '.join(domains)}")
    if pool < 2:
        raise ConfigError(f"surrogate {name}: expected a pool of two mixtures or more, found {pool}")
    mixtures = np.random.default_rng(_POOL_SEED).dirichlet(np.ones(len(domains)), pool)
    mixtures /= mixtures.sum(axis=1, keepdims=True)
    fidelities = priced(sorted(set(scales)))
    losses = [
        _evaluate(call, name, mixtures, fidelity.parameters, fidelity.tokens) for fidelity in reversed(fidelities)
    ]
    widths = {array.shape[1] for array in losses}
    if len(widths) > 1:
        raise ConfigError(
            f"surrogate {name}: expected as many losses at every scale, found {', '.join(map(str, sorted(widths)))}"
        )
    width = losses[0].shape[1]
    measured = tuple(domains) if width == len(domains) else tuple(f"loss_{i + 1}" for i in range(width))
    return Table(
        name=name,
        domains=tuple(domains),
        eval_domains=measured,
        mixtures=mixtures,
        fidelities=fidelities,
        losses=np.stack(losses[::-1]),
        curves=True,
        source=f"surrogate {name} on {pool} drawn mixtures",
    )


def parse_scales(text: str) -> list[tuple[int, int]]:
    """Fidelities from `1Mx200M,60Mx1B`: parameters x tokens.

    Raises:
        ConfigError: something else.
    """
    scales: list[tuple[int, int]] = []
    for part in text.split(","):
        size, cross, tokens = re.sub(r"\s", "", part).partition("x")
        if not cross:
            raise ConfigError(f"fidelities: expected PARAMETERSxTOKENS such as 1Mx200M,60Mx1B, found {text!r}")
        scales.append((parse_count(size, "fidelities: parameters"), parse_count(tokens, "fidelities: tokens")))
    return scales


def parse_domains(text: str) -> tuple[str, ...]:
    """Names from `web,code,books`, or `domain_1` and so on from a number of them."""
    if text.strip().isdigit():
        return tuple(f"domain_{i + 1}" for i in range(int(text)))
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _evaluate(function: Surrogate, name: str, mixtures: Floats, parameters: int, tokens: int) -> Floats:
    """(M, V) losses at one scale."""
    where = f"surrogate {name} at {scale_name(parameters, tokens)}"
    try:
        found = np.asarray(function(mixtures.copy(), parameters, tokens), dtype=np.float64)
    except Exception as error:
        raise ConfigError(f"{where}: it raised {type(error).__name__}: {error}") from error
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or len(found) != len(mixtures) or not found.shape[1]:
        raise ConfigError(
            f"{where}: expected losses of shape ({len(mixtures)}, evaluation domains), found {found.shape}"
        )
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise ConfigError(f"{where}: loss {column + 1} of mixture {row} is {found[row, column]}; expected a number")
    return found


def _find(path: str) -> Surrogate:
    if not is_path(path):
        raise ConfigError(f"surrogate: expected module:function, found {path!r}")
    found = load(path, "surrogate")
    if not callable(found):
        raise ConfigError(f"surrogate: {path!r} is no function")
    return cast("Surrogate", found)
