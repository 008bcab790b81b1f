"""Models by name: the presets of every family. Any field can be overridden; the vocabulary comes from the data."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import Any

from mixopt.errors import ConfigError
from mixopt.model_spec import FAMILIES, ModelSpec

# Learning rate and tokens of a batch by size. From 100M on: Brown et al. 2020 (GPT-3), table 2.1. Below: tried on
# the demo corpus, where small models want many small steps; a start, not an optimum.
_BY_SIZE = (
    (0.7e6, 3e-3, 1024),
    (3e6, 2e-3, 2048),
    (1e7, 1.5e-3, 8192),
    (1e8, 1e-3, 32768),
    (2e8, 6e-4, 524288),
    (5e8, 3e-4, 524288),
    (1e9, 2.5e-4, 524288),
    (float("inf"), 2e-4, 1048576),
)

_FIELDS = tuple(field.name for field in fields(ModelSpec))


def presets(*more: str) -> dict[str, dict[str, Any]]:
    """Every preset by name: fields of `ModelSpec`, its family's name among them.

    Args:
        more: families of somebody's own, as `module:Class`, whose presets are wanted too.
    """
    families = {name: FAMILIES.get(name) for name in (*FAMILIES, *more)}
    return {
        preset: {"family": name, **given} for name, kind in families.items() for preset, given in kind.presets.items()
    }


def model_spec(name: str, vocab_size: int, **overrides: Any) -> ModelSpec:
    """The dimensions of the preset `name` with `vocab_size` entries and any field overridden.

    Raises:
        ConfigError: an unknown preset, field or family; the message gives the nearest right ones.
    """
    for key in overrides:
        if key not in _FIELDS:
            raise ConfigError(f"model: unknown field {key!r}; the fields are {', '.join(_FIELDS)}")
    known = presets(*filter(None, [overrides.get("family")]))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(known)}"
        raise ConfigError(f"model: unknown preset {name!r}; {hint}")
    return ModelSpec(**{**known[name], "vocab_size": vocab_size, **overrides})


def suited(parameters: float) -> tuple[float, int]:
    """Learning rate and tokens of a batch for a model of this size."""
    return next((lr, batch) for size, lr, batch in _BY_SIZE if parameters < size)
