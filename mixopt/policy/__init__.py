"""Mixture policies by name. A new one is a file, a line here and a parameter of the contract tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError
from mixopt.plugins import Registry, load
from mixopt.policy.base import Course, LossWeighting, MixturePolicy, Part, Policy

if TYPE_CHECKING:
    from mixopt.mixture import Mixture
    from mixopt.policy.base import Option

POLICIES: Registry[type[Policy]] = Registry(
    "policy",
    "mixopt.policies",
    {
        "static": "mixopt.policy.schedule:Static",
        "ado": "mixopt.policy.ado:Ado",
        "odm": "mixopt.policy.odm:Odm",
        "schedule": "mixopt.policy.schedule:Schedule",
        "custom": "mixopt.policy.custom:Custom",
        "group_dro": "mixopt.policy.doremi:GroupDro",
    },
    Policy,
)


def make_policy(name: str, prior: Mixture, options: Mapping[str, Any] | None = None) -> Policy:
    """The policy `name`, or `module:Class`, started from `prior`.

    Raises:
        ConfigError: an unknown policy or an unknown option of it.
    """
    kind = POLICIES.get(name)
    try:
        return kind(prior, **(options or {}))
    except TypeError as error:
        raise ConfigError(f"policy {name}: {error}") from error


def options_in(name: str, course: Course, given: Mapping[str, Option]) -> dict[str, Option]:
    """The options of a policy in a run: those that follow from the run, and over them those given."""
    follow = POLICIES.get(name).from_run(course, given)
    return {key: value for key, value in follow.items() if value is not None} | dict(given)


def weighs_losses(name: str) -> bool:
    """Whether the policy holds losses against a reference model, so that a run of it names its reference run."""
    return issubclass(POLICIES.get(name), LossWeighting)


def parts_of(name: str) -> tuple[Part, ...]:
    """`Policy.parts`; none where a policy is not to be had where its run's trace is read."""
    try:
        return POLICIES.get(name).parts
    except ConfigError:
        return ()


def __getattr__(name: str) -> Any:
    """Our own classes by their names, each imported when it is asked for."""
    for where in POLICIES.builtin.values():
        if where.endswith(f":{name}"):
            return load(where, "policy")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "POLICIES",
    "Course",
    "LossWeighting",
    "MixturePolicy",
    "Part",
    "Policy",
    "make_policy",
    "options_in",
    "parts_of",
    "weighs_losses",
]
