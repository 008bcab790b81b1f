"""The searchers that a benchmark replays: those of `mixopt search`, set up for a table."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixopt.bench.stall import place_of, rows_of
from mixopt.errors import ConfigError
from mixopt.methods.adso.choice import ChoiceSettings
from mixopt.methods.adso.scales import Ladder, Scale
from mixopt.methods.adso.searcher import Adso, AdsoSettings
from mixopt.methods.names import SEQUENTIAL
from mixopt.methods.swarm.designs import DesignSettings
from mixopt.methods.swarm.fit import regressors_of
from mixopt.methods.swarm.regressors import LAWS
from mixopt.methods.swarm.searcher import OneShot, OneShotSettings
from mixopt.mixture import Mixture
from mixopt.objective import WeightedLoss
from mixopt.plugins import is_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixopt.bench.base import Table
    from mixopt.methods.base import Searcher

# What a table is replayed with where nobody names methods; those that it does not allow are left out.
USUAL = ("random", "single-fidelity", "tokens-only", "regmix", "loglinear", "mixing-law", "gp", "adso")


@dataclass(frozen=True)
class Asked:
    """A method as it was asked for.

    Attributes:
        text: as it was written: `gp` or `gp:32`.
        name: of the method: `gp`, or `module:Class`.
        settings: its options by name, the runs of `gp:32` among them.
    """

    text: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Asked:
        """From `NAME`, `NAME:RUNS` or `module:Class`.

        Raises:
            ConfigError: a number of runs that is none.
        """
        name, colon, runs = text.rpartition(":")
        if not colon or is_path(text):
            return cls(text, text)
        if not (runs.isdigit() and int(runs) > 0):
            raise ConfigError(f"method {name}: expected a number of cheap runs such as {name}:32, found {text!r}")
        return cls(text, name, {"runs": int(runs)})

    def having(self, settings: Mapping[str, Any]) -> Asked:
        """The same with other options."""
        return replace(self, settings={**settings, **self.settings})

    @property
    def title(self) -> str:
        """In words, for pictures."""
        return self.text


def searcher_for(
    asked: Asked, table: Table, objective: tuple[str, NDArray[np.float64]], seed: int, budget: float | None
) -> Searcher:
    """The searcher of a method on a table.

    Args:
        asked: the method.
        table: the runs, with the evaluation domains that count.
        objective: its name and its (V,) weights.
        seed: of the order in which rows come first.
        budget: most that it may spend, in target runs; None for all that the table has.

    Raises:
        ConfigError: no such method, or one that the table does not allow.
    """
    title, weights = objective
    loss = WeightedLoss(Mixture(table.eval_domains, tuple(weights.tolist())), title)
    uniform, rows = Mixture.uniform(table.domains), rows_of(table, seed)
    scales = [Scale(*place_of(f)[:1], f.parameters, f.tokens, f.cost) for f in table.fidelities]
    everything = float(np.array([scale.cost for scale in scales]) @ table.available.sum(axis=1))
    own = {key: value for key, value in asked.settings.items() if key in options_of(asked.name)}
    if asked.name in SEQUENTIAL:
        kept = {
            "adso": scales,
            "tokens-only": [scale for scale in scales if scale.parameters == scales[-1].parameters],
            "single-fidelity": scales[-1:],
        }[asked.name]
        if asked.name != "single-fidelity" and len(kept) < 2:
            raise ConfigError(f"expected two scales or more, found one ({scales[-1]})")
        guard = own.pop("guard", ChoiceSettings.guard)
        choice = ChoiceSettings(guard=guard)
        settings = AdsoSettings(budget=budget or everything, objective=loss, choice=choice, **own)
        return Adso(uniform, Ladder(tuple(kept)), settings, None, rows)
    law = None if asked.name == "random" else regressors_of(asked.name)
    scale = scales[-1] if law is None else scales[0]
    runs = own.get("runs") or max(16, 4 * len(table.domains))
    if law is None:
        runs = len(table.candidates)
    elif budget is not None:
        runs = min(runs, int((budget - 1 + 1e-9) / scale.cost))
    settings = OneShotSettings(
        design=DesignSettings(runs=runs),
        regressors=law,
        objective=loss,
        confirm=0 if law is None else own.get("confirm", len(table.candidates)),
    )
    return OneShot(uniform, scale.tokens, settings, {"uniform": uniform}, None, rows, scale.model, scales[-1])


def options_of(name: str) -> tuple[str, ...]:
    """Names of a method's options.

    Raises:
        ConfigError: there is no such method; the message has the nearest name.
    """
    if name in SEQUENTIAL:
        return ("guard", "batch", "tolerance")
    if name in ("random", "auto", *LAWS):
        return ("runs", "confirm")
    known = (*SEQUENTIAL, "random", "auto", *LAWS)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise ConfigError(f"method: expected {', '.join(near or known)}, found {name!r}")
