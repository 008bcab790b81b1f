"""Online policies as people ask for them, and the runs of a study that train with them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from mixopt.errors import ConfigError
from mixopt.methods.registry import method_names
from mixopt.mixture import Mixture
from mixopt.plugins import is_path
from mixopt.policy import POLICIES, make_policy, options_in, weighs_losses
from mixopt.spec import PolicySpec, RunSpec
from mixopt.study.loop import job_of, plan_targets
from mixopt.study.mixtures import resolve_mixture

if TYPE_CHECKING:
    from mixopt.execute.base import Job
    from mixopt.policy.base import Option
    from mixopt.store import Store
    from mixopt.study.study import Study

# Characters of options in a run's name.
_LONGEST = 60


@dataclass(frozen=True)
class PolicyAsked:
    """A policy, what it starts from, and what differs from its defaults."""

    name: str = "ado"  # a policy of `mixopt.policy`
    prior: str | Mixture = "natural"  # the mixture that it starts from, or a name of one (`mixopt.study.mixtures`)
    # the policy's own, as plain values. Those that follow from the run need not be given: the length of the run and
    # of a sequence (ado), of the run (odm), of a batch (schedule)
    options: Mapping[str, Option] = field(default_factory=dict)

    @classmethod
    def is_word(cls, word: str) -> bool:
        """Whether `word` begins as a policy does that is no fixed mixture; `ddo:STUDY` is one."""
        name = _parts(word)[0]
        return name in POLICIES and name != "static" and name.partition(":")[0] not in method_names()

    @classmethod
    def parse(cls, word: str) -> PolicyAsked:
        """`POLICY[:VARIANT][,OPTION=VALUE…][@PRIOR]`, such as `ado`, `odm:code`, `ado:paper,s=1@uniform`.

        POLICY may be `module:Class`: `mine:Greedy`, `mine:Greedy:rate=0.1@uniform`.

        Raises:
            ConfigError: there is no such policy, or an option is not OPTION=VALUE.
        """
        name, told, prior = _parts(word)
        main = next(iter(POLICIES.get(name).variants), None)
        options: dict[str, Option] = {}
        for part in filter(None, told.split(",")):
            key, equals, value = part.partition("=")
            if equals:
                options[key.strip()] = _value(key, value)
            elif main and not options:
                options[main] = part
            else:
                raise ConfigError(f"policy {word!r:.80}: expected OPTION=VALUE, found {part!r}")
        return cls(name, prior or "natural", options)

    def changed(
        self, word: str | None = None, variant: str | None = None, prior: str | None = None, law: str | None = None
    ) -> PolicyAsked:
        """This with what the command line says over it, None for what it does not say.

        Args:
            word: as for `parse`; another policy than this one's takes none of its options.
            variant: the value of the policy's main option of kind, such as ado's preset.

        Raises:
            ConfigError: the policy has no variants, or fits no laws.
        """
        name, start, options = self.name, self.prior, dict(self.options)
        if word is not None:
            one = PolicyAsked.parse(word)
            options = {**(options if one.name == name else {}), **one.options}
            name, start = one.name, one.prior if "@" in word else start
        kinds = POLICIES.get(name).variants
        if variant is not None:
            if not kinds:
                raise ConfigError(f"--preset: policy {name} has none, found {variant!r}; {_variants()}")
            options[next(iter(kinds))] = variant
        if law is not None:
            if "law" not in kinds:
                raise ConfigError(f"--law: policy {name} fits no laws, found {law!r}")
            options["law"] = law
        return PolicyAsked(name, prior or start, options)

    @property
    def word(self) -> str:
        """What it is called: as `parse` reads it, without what is usual; the policy alone if that is long."""
        told = self._unusual(self.options)
        main = next(iter(POLICIES.get(self.name).variants), None)
        parts = [str(told.pop(main))] if main in told else []
        parts += [f"{key}={json.dumps(value)}" for key, value in told.items()]
        options = f":{','.join(parts)}" if parts else ""
        prior = "" if self.prior == "natural" or isinstance(self.prior, Mixture) else f"@{self.prior}"
        return self.name + (options if len(options) <= _LONGEST else "") + prior

    def spec(self, run: RunSpec) -> PolicySpec:
        """The policy of `run`, whose weights are the prior, with the options that follow from it.

        Raises:
            ConfigError: an unknown policy or option, or a value that it cannot have.
        """
        given = self._unusual({key: _plain(self.name, key, value) for key, value in self.options.items()})
        if weighs_losses(self.name):
            raise ConfigError(
                f"policy {self.name}: it weighs losses against a reference run, which nothing here trains; `mixopt "
                "doremi` trains reference and proxy"
            )
        options = options_in(self.name, run.course, given)
        make_policy(self.name, run.mixture, options)  # mistakes are found here and not in training
        return PolicySpec(name=self.name, weights=run.policy.weights, options=options)

    def _unusual(self, options: Mapping[str, Option]) -> dict[str, Option]:
        """Options without kinds that are the usual ones: with those or without, it is the same run."""
        kinds = POLICIES.get(self.name).variants
        return {key: value for key, value in options.items() if key not in kinds or kinds[key][0] != value}


def plan_policies(
    study: Study, asked: Mapping[str, PolicyAsked], tokens: int, seeds: Sequence[int], store: Store | None = None
) -> list[Job]:
    """The runs that train with each policy of `asked` for `tokens` with each of `seeds`.

    As `plan_targets`; `asked` has them by the name of their runs.

    Raises:
        ConfigError: a mistake in a policy, no such prior, or a prior that repeats a domain too often (what a policy
            draws later is not known before).
    """
    planned = []
    for name, one in asked.items():
        prior = one.prior if isinstance(one.prior, Mixture) else resolve_mixture(one.prior, study, store)
        runs = plan_targets(study, {name: prior}, tokens, seeds)
        planned += [job_of(study, replace(run.spec, policy=one.spec(run.spec)), run.role) for run in runs]
    return planned


def _parts(word: str) -> tuple[str, str, str]:
    """Policy, options and prior of a word."""
    head, _, prior = word.partition("@")
    name, _, options = head.partition(":")
    attribute, _, more = options.partition(":")
    if name not in POLICIES and is_path(f"{name}:{attribute}"):
        return f"{name}:{attribute}", more, prior
    return name, options, prior


def _variants() -> str:
    """Which policy has which variants, in words."""
    kinds = {name: POLICIES.get(name).variants for name in POLICIES}
    return "; ".join(f"{name} has {', '.join(next(iter(found.values())))}" for name, found in kinds.items() if found)


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"policy: {key}: {text!r:.60} is not a YAML value") from error


def _plain(policy: str, key: str, value: Any) -> Option:
    """A value that a run's spec can hold."""
    if not isinstance(value, int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(f"policy {policy}: {key}: expected a finite number, true, false or a text, found {value!r}")
    return value
