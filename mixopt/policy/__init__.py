"""Mixture policies by name. A new one is a file, a line here and a parameter of the contract tests."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError
from mixopt.policy.ado import Ado
from mixopt.policy.base import LossWeighting, MixturePolicy
from mixopt.policy.custom import Custom
from mixopt.policy.doremi import GroupDro
from mixopt.policy.odm import Odm
from mixopt.policy.schedule import Schedule
from mixopt.policy.static import Static

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixopt.mixture import Mixture

POLICIES: dict[str, Callable[..., MixturePolicy]] = {
    "static": Static,
    "ado": Ado,
    "odm": Odm,
    "schedule": Schedule,
    "custom": Custom,
    "group_dro": GroupDro,
}

# Policies that weigh losses against a reference model (`LossWeighting`): a run of theirs names its reference run.
REFERENCED = frozenset({"group_dro"})


def make_policy(name: str, prior: Mixture, options: dict[str, Any] | None = None) -> MixturePolicy:
    """The policy `name`, started from `prior`.

    Raises:
        ConfigError: an unknown policy or an unknown option of it.
    """
    if name not in POLICIES:
        near = difflib.get_close_matches(name, POLICIES, n=1, cutoff=0.4)
        raise ConfigError(f"policy: unknown name {name!r}; {'nearest' if near else 'there are'}: "
                          f"{', '.join(near or POLICIES)}")  # fmt: skip
    try:
        return POLICIES[name](prior, **(options or {}))
    except TypeError as error:
        raise ConfigError(f"policy {name}: {error}") from error


__all__ = [
    "POLICIES",
    "REFERENCED",
    "Ado",
    "Custom",
    "GroupDro",
    "LossWeighting",
    "MixturePolicy",
    "Odm",
    "Schedule",
    "Static",
    "make_policy",
]
