"""`Study`: what to train, the `Problem` of its method, its identity, and the finished study that it builds on."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.arrays import Floats
from mixopt.data.manifest import Manifest
from mixopt.data.sampler import MixtureSampler
from mixopt.errors import DataError
from mixopt.methods.method import told
from mixopt.methods.problem import Earlier, Problem, Size
from mixopt.methods.registry import method_named
from mixopt.objective import WeightedLoss
from mixopt.score import TASK_PREFIX
from mixopt.spec import whole_batches
from mixopt.store import Store
from mixopt.store.task_errors import by_label
from mixopt.study.expected import is_prepared
from mixopt.study.mixtures import mixture_of_study, resolve_mixture
from mixopt.study.setup import Setup
from mixopt.study.tasks import checked_objective, needed_tasks

if TYPE_CHECKING:
    from mixopt.methods.base import Searcher
    from mixopt.mixture import Mixture

# Longer runs give each domain its tokens to well within what methods tell apart, and need no look.
_LONG = 2000

# Parts of a resolved study that have to be the same for its runs to count beside new ones.
_SAME = ("model", "optim", "sequence_length", "tokens")


class Study(Setup):
    """What to train, on what data, where.

    Example:
        `Study(data="data/demo", model="gpt2-0.4m", tokens="800k")`

    Args:
        data: folder of prepared data.
        model: name of a preset, or a dict with `preset` and the fields that differ.
        tokens: training tokens of the base run (`800k`, `10M`, a number).
        results: folder of the results table.
        sections: other sections of a study file: `training`, `evaluation`, `method`, `executor`.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """

    def under(self, method: str) -> Study:
        """The same study by another method, with those of its options that this one has too."""
        own = self.config.method
        if own.name == method:
            return self
        kind = method_named(method).Settings
        shared = {name: getattr(own, name) for name in own.model_fields_set if name in kind.model_fields}
        settings = kind.model_validate({**shared, "name": method})
        return Study.of(self.config.model_copy(update={"method": settings}))

    @cached_property
    def reference(self) -> Mixture:
        """The mixture of the base run: uniform where the method has none of its own.

        Raises:
            ConfigError: no such file, or it names other domains.
        """
        return resolve_mixture(getattr(self.config.method, "reference", "uniform"), self)

    def searcher(self) -> Searcher:
        """The search that the config asks for.

        Raises:
            ConfigError: settings that do not go together, or bounds that no mixture satisfies.
        """
        return self.method.searcher(problem_of(self), self.config.method)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """Everything that the answer rests on, as JSON values; files are read once."""
        return resolve(self)

    @cached_property
    def study_id(self) -> str:
        """Identity of the study: 12 hexadecimal digits; the same for the same question, wherever it is run."""
        return id_of(self.resolved)


def problem_of(study: Study) -> Problem:
    """What a study asks of its method."""
    tasks = by_label(study.tasks) if is_prepared(study.config.data.dir) else {}
    measured = study.spec(study.natural, study.tokens, seed=0).measured
    return Problem(
        domains=study.domains,
        natural=study.natural,
        tokens=study.tokens,
        corpus=study.corpus,
        available=study.available,
        max_epochs=study.config.training.max_epochs,
        batch_tokens=study.optim.batch_tokens,
        sequence_length=study.sequence_length,
        unique_tokens=bool(study.config.data.unique_tokens),
        objectives=partial(checked_objective, study),
        measured=(*measured, *(f"{TASK_PREFIX}{name}" for name in tasks)),
        training=StudyTraining(study),
    )


class StudyTraining:
    """Whoever trains a study's runs (see `mixopt.methods.problem.Training`)."""

    def __init__(self, study: Study) -> None:
        """Of this study."""
        self._study = study

    def size(self, model: str | None, tokens: int) -> Size:
        """What a run of this preset and of about these tokens is."""
        study = self._study
        spec = study.sized(model).spec(study.natural, tokens, seed=0)
        return Size(model or study.config.model.preset, spec.model.parameters, spec.tokens, spec.flops)

    def check(self, mixture: Mixture, tokens: int, role: str) -> None:
        """Refuse a run that repeats its data too often (see `Study.check_epochs`)."""
        self._study.check_epochs(self._study.spec(mixture, tokens, seed=0), role)

    def seen(self, weights: Floats, tokens: int) -> Floats:
        """(K,) shares of the tokens that a run sees when these weights (K,) are asked for."""
        study = self._study
        sequences = whole_batches(tokens, study.optim.batch_tokens) // study.sequence_length
        if sequences > _LONG:
            return weights
        sampler = MixtureSampler([sequences] * len(weights), 0, [str(index) for index in range(len(weights))])
        domains, _ = sampler.next_batch(weights, sequences)
        return np.bincount(domains, minlength=len(weights)) / sequences

    def mixture(self, name: str) -> Mixture:
        """The mixture of a file, a published name or a study, over the study's domains."""
        return resolve_mixture(name, self._study)

    def earlier(self, study: str) -> Earlier:
        """A finished study of the same results table."""
        return _earlier(self._study, study)


def resolve(study: Study) -> dict[str, Any]:
    """All that the answer rests on, as JSON values, and the config that it follows from.

    What all methods share, and of the method's own settings those that change its answer; mixtures and weights in
    files stand in it as numbers.
    """
    content = study.spec(study.natural, study.tokens, seed=0).to_dict()
    config, settings, objective = study.config, study.config.method, study.objective
    fields = {name: told(field) for name, field in type(settings).model_fields.items()}
    asked = settings.model_dump(mode="json", include={name for name, one in fields.items() if one.identity})
    mixtures = {name: resolve_mixture(asked[name], study).to_dict() for name, one in fields.items() if one.mixture}
    # Only those that the answer rests on; what else is measured changes nothing.
    tasks = by_label(needed_tasks(study))
    return {
        "config": config.model_dump(mode="json"),
        "model": content["model"],
        "optim": content["optim"],
        "evaluation": content["evaluation"],
        "sequence_length": content["sequence_length"],
        "tokens": study.tokens,
        "fingerprint": study.manifest.fingerprint,
        "domains": list(study.domains),
        "unique_tokens": content["data"]["unique_tokens"],
        "max_epochs": config.training.max_epochs,
        "whole_word": content["whole_word"],
        "method": {**asked, **mixtures},
        **({"objective": objective.weights.to_dict()} if isinstance(objective, WeightedLoss) else {}),
        **({"tasks": {task.identity: name for name, same in tasks.items() for task in same}} if tasks else {}),
    }


def id_of(resolved: dict[str, Any]) -> str:
    """12 hexadecimal digits; the same for the same question, wherever it is run."""
    question = {key: value for key, value in resolved.items() if key != "config"}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:12]


def _earlier(study: Study, prefix: str) -> Earlier:
    """The earlier study, from the results table."""
    with Store(study.config.results, read_only=True) as store:
        record = store.study(prefix)
        mixture = mixture_of_study(record, store, f"extend {prefix}")
        wanted = record["config"].get("tokens")
        runs = [run for run, _ in record["runs"] if store.has_finished(run)]
        same = [
            run
            for run in dict.fromkeys(runs)
            for spec in [store.get(run)[0]]
            if spec.policy.name == "static" and spec.tokens == wanted and set(spec.data.domains) == set(mixture.domains)
        ]
        differences = _differences(study, mixture, record["config"])
        return Earlier(record["study_id"], mixture, store.history(same), tuple(differences))


def _differences(study: Study, mixture: Mixture, config: dict[str, Any]) -> list[str]:
    """Why the earlier runs' losses do not count beside new ones, in words; nothing where they do."""
    now = resolve(study)
    found = [f"{part.replace('_', ' ')} differs" for part in _SAME if config.get(part) != now[part]]
    if config.get("unique_tokens") or now["unique_tokens"]:
        found.append("distinct tokens are limited")
    tokens = "tokens_per_domain"
    if config.get("evaluation", {}).get(tokens) != now["evaluation"][tokens]:
        found.append("validation tokens of a domain differ")
    return found + _text_differences(study, mixture, config)


def _text_differences(study: Study, mixture: Mixture, config: dict[str, Any]) -> list[str]:
    """Whether the old domains' text and tokens are the same, by the hashes of both data folders."""
    folder = Path(config.get("config", {}).get("data", {}).get("dir", ""))
    try:
        old = Manifest.load(folder)
    except DataError:
        return [f"the earlier data ({folder}) is not there to compare with"]
    if old.fingerprint != config.get("fingerprint"):
        return [f"the earlier data ({folder}) has changed since"]
    if old.tokenizer_hash != study.manifest.tokenizer_hash:
        return ["the tokenizer is another"]
    mine = {entry.name: entry for entry in study.manifest.domains}
    theirs = {entry.name: entry for entry in old.domains}
    changed = [
        f"the {kind} text of {name} is another"
        for name in mixture.domains
        for kind in ("validation", "train")
        if getattr(mine[name], kind).hash != getattr(theirs[name], kind).hash
    ]
    return changed[:2]
