"""Online policies as people ask for them, and the runs of a study that train with them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from mixopt.errors import ConfigError
from mixopt.mixture import Mixture
from mixopt.policy import POLICIES, make_policy
from mixopt.spec import PolicySpec
from mixopt.study.loop import Planned
from mixopt.study.mixtures import resolve_mixture
from mixopt.study.target import plan_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mixopt.spec import RunSpec
    from mixopt.store import Store
    from mixopt.study.study import Study

    Option = float | int | bool | str

# The option that tells a policy's variants apart.
VARIANTS = {"ado": "preset", "odm": "variant"}

# Defaults that are often written out: with them or without, it is the same run.
_USUAL = {"ado": {"preset": "robust", "law": "power"}, "odm": {"variant": "paper"}}


def _ado_options(spec: RunSpec, given: Mapping[str, Option]) -> dict[str, Option]:
    options: dict[str, Option] = {"total_steps": spec.steps, "tokens_per_sample": spec.sequence_length}
    if given.get("law") == "schedule-aware":
        optim = spec.optim
        options |= {"total_tokens": spec.tokens, "lr_schedule": optim.schedule}
        options |= {"lr_warmup": optim.warmup, "lr_final": optim.final_lr}
    return options


# Options that follow from the run, and from the options given.
_FROM_RUN: dict[str, Callable[[RunSpec, Mapping[str, Option]], dict[str, Option]]] = {
    "ado": _ado_options,
    "odm": lambda spec, _: {"total_steps": spec.steps},
    "schedule": lambda spec, _: {"tokens_per_step": spec.optim.batch_tokens},
}

# Characters of options in a run's name.
_LONGEST = 60
_WORD = re.compile(r"(?P<name>[a-z][a-z0-9_-]*)(:(?P<options>[^@]*))?(@(?P<prior>.+))?", re.DOTALL)


@dataclass(frozen=True)
class PolicyAsked:
    """A policy, what it starts from, and what differs from its defaults.

    Attributes:
        name: a policy of `mixopt.policy`.
        prior: the mixture that it starts from, or a name of one (`mixopt.study.mixtures`).
        options: the policy's own, as plain values. Those that follow from the run need not be given: the length of
            the run and of a sequence (ado), of the run (odm), of a batch (schedule).
    """

    name: str = "ado"
    prior: str | Mixture = "natural"
    options: Mapping[str, Option] = field(default_factory=dict)

    @classmethod
    def is_word(cls, word: str) -> bool:
        """Whether `word` begins as a policy does that is no fixed mixture."""
        found = _WORD.fullmatch(word)
        return found is not None and found["name"] in POLICIES and found["name"] != "static"

    @classmethod
    def parse(cls, word: str) -> PolicyAsked:
        """`POLICY[:VARIANT][,OPTION=VALUE…][@PRIOR]`, such as `ado`, `odm:code`, `ado:paper,s=1@uniform`.

        Raises:
            ConfigError: an option is not OPTION=VALUE.
        """
        found = _WORD.fullmatch(word)
        if found is None:
            raise ConfigError(f"policy: expected POLICY[:VARIANT][,OPTION=VALUE][@PRIOR], found {word!r:.80}")
        options: dict[str, Option] = {}
        for part in filter(None, (found["options"] or "").split(",")):
            key, equals, value = part.partition("=")
            if equals:
                options[key.strip()] = _value(key, value)
            elif found["name"] in VARIANTS and not options:
                options[VARIANTS[found["name"]]] = part
            else:
                raise ConfigError(f"policy {word!r:.80}: expected OPTION=VALUE, found {part!r}")
        return cls(found["name"], found["prior"] or "natural", options)

    def changed(
        self, word: str | None = None, variant: str | None = None, prior: str | None = None, law: str | None = None
    ) -> PolicyAsked:
        """This with what the command line says over it, None for what it does not say.

        Args:
            word: as for `parse`; another policy than this one's takes none of its options.
            variant: ado's preset, or odm's variant.
            prior: the mixture to start from.
            law: which law ado fits.

        Raises:
            ConfigError: the policy has no variants, or fits no laws.
        """
        name, start, options = self.name, self.prior, dict(self.options)
        if word is not None:
            one = PolicyAsked.parse(word)
            options = {**(options if one.name == name else {}), **one.options}
            name, start = one.name, one.prior if "@" in word else start
        if variant is not None:
            if name not in VARIANTS:
                raise ConfigError(
                    f"--preset: policy {name} has none, found {variant!r}; ado has robust, paper and official, odm "
                    "paper and code"
                )
            options[VARIANTS[name]] = variant
        if law is not None:
            if name != "ado":
                raise ConfigError(f"--law: policy {name} fits no laws, found {law!r}; only ado does")
            options["law"] = law
        return PolicyAsked(name, prior or start, options)

    @property
    def word(self) -> str:
        """What it is called: as `parse` reads it, without what is usual; the policy alone if that is long."""
        usual, variant = _USUAL.get(self.name, {}), VARIANTS.get(self.name)
        told = {key: value for key, value in self.options.items() if usual.get(key) != value}
        parts = [str(told.pop(variant))] if variant in told else []
        parts += [f"{key}={json.dumps(value)}" for key, value in told.items()]
        options = f":{','.join(parts)}" if parts else ""
        prior = "" if self.prior == "natural" or isinstance(self.prior, Mixture) else f"@{self.prior}"
        return self.name + (options if len(options) <= _LONGEST else "") + prior

    def spec(self, run: RunSpec) -> PolicySpec:
        """The policy of `run`, whose weights are the prior, with the options that follow from it.

        Raises:
            ConfigError: an unknown policy or option, or a value that it cannot have.
        """
        given = {key: _plain(self.name, key, value) for key, value in self.options.items()}
        for name, usual in _USUAL.get(self.name, {}).items():
            if given.get(name) == usual:
                del given[name]
        follow = _FROM_RUN.get(self.name, lambda *_: {})(run, given)
        options = {**follow, **given}
        make_policy(self.name, run.mixture, options)  # mistakes are found here and not in training
        return PolicySpec(name=self.name, weights=run.policy.weights, options=options)


def plan_policies(
    study: Study, asked: Mapping[str, PolicyAsked], tokens: int, seeds: Sequence[int], store: Store | None = None
) -> list[Planned]:
    """The runs that train with each policy of `asked` for `tokens` with each of `seeds`.

    Args:
        study: what to train, on what.
        asked: policies by name of their runs, whose role is `target NAME`.
        tokens: training tokens of a run, rounded to whole batches.
        seeds: initialisations and data orders; the same for every policy, so that seeds pair up.
        store: the results table, if it is open already.

    Raises:
        ConfigError: a mistake in a policy, no such prior, or a prior that repeats a domain too often (what a policy
            draws later is not known before).
    """
    planned = []
    for name, one in asked.items():
        prior = one.prior if isinstance(one.prior, Mixture) else resolve_mixture(one.prior, study, store)
        runs = plan_targets(study, {name: prior}, tokens, seeds)
        planned += [Planned(replace(run.spec, policy=one.spec(run.spec)), run.role) for run in runs]
    return planned


def _value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"policy: {key}: {text!r:.60} is not a YAML value") from error


def _plain(policy: str, key: str, value: Any) -> Option:
    """A value that a run's spec can hold."""
    if not isinstance(value, int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(
            f"policy {policy}: {key}: expected a finite number, true, false or a text, found {value!r}"
        )
    return value
