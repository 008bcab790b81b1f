"""What a replay minimises: a weighted sum of losses, so that each can be modelled before they are added."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixopt.arrays import Floats


def objective_weights(text: str, eval_domains: Sequence[str]) -> Floats:
    """(V,) weights of an objective: `mean`, the name of an evaluation domain or `weighted:FILE` (`domain: weight`).

    Raises:
        ConfigError: none of these; the message gives the nearest name.
    """
    if text == "mean":
        return np.full(len(eval_domains), 1 / len(eval_domains))
    if text in eval_domains:
        return np.array([float(domain == text) for domain in eval_domains])
    kind, _, path = text.partition(":")
    if kind == "weighted" and path:
        try:
            return Mixture.from_file(path).ordered(eval_domains).array
        except ConfigError as error:
            raise ConfigError(f"objective {text}: {error}") from error
    names = ("mean", *eval_domains)
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.4)
    raise ConfigError(f"objective: expected {', '.join(near or names)} or weighted:FILE, found {text!r}")
