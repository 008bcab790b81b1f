"""A finished study that `--extend STUDY` builds on, and whether its runs count beside new ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.data.manifest import Manifest
from mixopt.errors import DataError
from mixopt.methods.problem import Earlier
from mixopt.store import Store
from mixopt.study.identity import resolve
from mixopt.study.mixtures import mixture_of_study

if TYPE_CHECKING:
    from mixopt.mixture import Mixture
    from mixopt.study.setup import Setup

# Parts of a resolved study that have to be the same for its runs to count beside new ones.
_SAME = ("model", "optim", "sequence_length", "tokens")


def read_earlier(study: Setup, prefix: str) -> Earlier:
    """The earlier study, from the results table.

    Raises:
        ConfigError: it has no recommendation.
        StoreError: there is no such study, or no results table.
    """
    with Store(study.config.results, read_only=True) as store:
        study_id = store.find_study(prefix)
        record = next(record for record in store.studies() if record["study_id"] == study_id)
        mixture = mixture_of_study(study_id, store, f"extend {prefix}")
        wanted = record["config"].get("tokens")
        runs = [run for run, _ in record["runs"] if store.has_finished(run)]
        same = [
            run
            for run in dict.fromkeys(runs)
            for spec in [store.get(run)[0]]
            if spec.policy.name == "static"
            and spec.tokens == wanted
            and set(spec.data.domains) == set(mixture.domains)
        ]
        differences = _differences(study, mixture, record["config"])
        return Earlier(study_id, mixture, store.history(same), tuple(differences))


def _differences(study: Setup, mixture: Mixture, config: dict[str, Any]) -> list[str]:
    """Why the earlier runs' losses do not count beside new ones, in words; nothing where they do."""
    now = resolve(study)
    found = [f"{part.replace('_', ' ')} differs" for part in _SAME if config.get(part) != now[part]]
    if config.get("unique_tokens") or now["unique_tokens"]:
        found.append("distinct tokens are limited")
    tokens = "tokens_per_domain"
    if config.get("evaluation", {}).get(tokens) != now["evaluation"][tokens]:
        found.append("validation tokens of a domain differ")
    return found + _text(study, mixture, config)


def _text(study: Setup, mixture: Mixture, config: dict[str, Any]) -> list[str]:
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
