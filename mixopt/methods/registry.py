"""The search methods by name: a line each. A law of swarms is a method too, by its own name."""

from __future__ import annotations

import difflib
from typing import Any

from mixopt.errors import ConfigError
from mixopt.methods.method import Method
from mixopt.methods.swarm.regressors import LAWS
from mixopt.plugins import Registry, is_path, load

METHODS: Registry[Method[Any]] = Registry(
    "method",
    "mixopt.methods",
    {
        "ddo": "mixopt.methods.ddo.method:DDO",
        "autoscale": "mixopt.methods.autoscale.method:AUTOSCALE",
        "auto": "mixopt.methods.swarm.method:AUTO",
        "random": "mixopt.methods.swarm.method:RANDOM",
        "grid": "mixopt.methods.swarm.method:GRID",
        "adso": "mixopt.methods.adso.method:ADSO",
        "tokens-only": "mixopt.methods.adso.method:TOKENS_ONLY",
        "single-fidelity": "mixopt.methods.adso.method:SINGLE_FIDELITY",
        "doremi": "mixopt.methods.doremi.method:DOREMI",
    },
)


def method_names() -> list[str]:
    """Every method by name, laws among them; a law of a method's name is the method."""
    return [*METHODS, *(name for name in LAWS if name not in METHODS)]


def method_named(name: str, where: str = "method") -> Method[Any]:
    """The method of a name, of a law's name, or `module:Class` of either.

    Args:
        name: as `--method` has it.

    Raises:
        ConfigError: there is none; the message has the nearest name.
    """
    if is_path(name):
        found = load(name, "method")
        found = found() if isinstance(found, type) else found
        if not isinstance(found, Method):
            return _of_law(name)
        found.name = name  # what a study file has to say to find it again
        return found
    if name in METHODS:
        return METHODS.get(name)
    if name in LAWS:
        return _of_law(name)
    near = difflib.get_close_matches(name, method_names(), n=1, cutoff=0.4)
    raise ConfigError(f"{where}: expected {', '.join(near or method_names())} or module:Class, found {name!r:.80}")


def _of_law(name: str) -> Method[Any]:
    from mixopt.methods.swarm.method import SwarmMethod

    return SwarmMethod(name, f"a swarm, and the optimum of {LAWS.get(name).title}")


def owners(option: str) -> list[str]:
    """The methods that have an option, for messages."""
    return [name for name in METHODS if option in METHODS.get(name).Settings.model_fields]
