"""`Study`: what to train, and what follows from that: its search, and its identity."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mixopt.methods.registry import method_named
from mixopt.study.mixtures import resolve_mixture
from mixopt.study.problem import id_of, problem_of, resolve
from mixopt.study.setup import Setup

if TYPE_CHECKING:
    from mixopt.methods.base import Searcher
    from mixopt.mixture import Mixture


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
