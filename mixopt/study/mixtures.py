"""A mixture as people name it: uniform, natural, a file, a published name, or what a study recommended."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixopt.errors import ConfigError
from mixopt.methods.registry import method_named, method_names
from mixopt.mixture import Mixture
from mixopt.published import published, spelled
from mixopt.store import Store

if TYPE_CHECKING:
    from mixopt.study.setup import Setup


def resolve_mixture(text: str, study: Setup, store: Store | None = None) -> Mixture:
    """The mixture that `text` names, over the study's training domains.

    Args:
        text: `uniform`, `natural`, a YAML or JSON file of weights, a name of `mixopt mixtures`, or
            `autoscale:STUDY`, `ddo:STUDY` or `doremi:STUDY` (as much of the id's start as is unique).

    Returns:
        K weights, in the order of `study.domains`. A file may leave domains out (they get 0); a name or a study
        has to have all of them.

    Raises:
        ConfigError: there is no such mixture, or its domains are not the data's.
        StoreError: there is no such study, or no results table.
    """
    return mixture_for(text, study.corpus, store or study.config.results)


def mixture_for(text: str, tokens: Mapping[str, int], results: Store | str | Path) -> Mixture:
    """`resolve_mixture` for data that is told as training tokens by domain."""
    if text == "uniform":
        return Mixture.uniform(tokens)
    if text == "natural":
        return Mixture.normalised(tokens)
    mixture, is_file = _named(text, results)
    return spelled(mixture, tokens, f"mixture {text!r}", complete=not is_file)


def named_mixture(text: str, results: Store | str | Path) -> Mixture:
    """The mixture of a file, a published name or a study, with its own domains, where no data is at hand.

    Raises:
        ConfigError: there is no such mixture, or it needs data (`uniform`, `natural`).
        StoreError: there is no such study, or no results table.
    """
    if text in ("uniform", "natural"):
        raise ConfigError(f"mixture {text!r}: it depends on the data; say which with --data FOLDER")
    return _named(text, results)[0]


def _named(text: str, results: Store | str | Path) -> tuple[Mixture, bool]:
    """A mixture that data does not decide, and whether it comes from a file."""
    if text in published():
        return published()[text].mixture, False
    method, colon, prefix = text.partition(":")
    if colon and method in method_names():
        if isinstance(results, Store):
            return _recommended(method, prefix, results), False
        with Store(results, read_only=True) as store:
            return _recommended(method, prefix, store), False
    if _exists(text):
        return Mixture.from_file(text), True
    known = ["uniform", "natural", *published()]
    near = difflib.get_close_matches(text, known, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else "`mixopt mixtures` lists the names"
    raise ConfigError(
        f"mixture {text!r:.80}: no such file and no mixture of that name ({hint}); expected uniform, natural, a "
        f"YAML or JSON file of weights, a published name, or METHOD:STUDY ({', '.join(method_names())})"
    )


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()  # the path of no text is the current folder
    except OSError:  # weights written out in place of a file, longer than any path may be
        return False


def _recommended(method: str, prefix: str, store: Store) -> Mixture:
    """What the study `prefix` recommended."""
    study = store.study(prefix)
    command, study_id = study["command"], study["study_id"]
    if command != method:
        line = method_named(command).command_line
        raise ConfigError(
            f"mixture '{method}:{prefix}': study {study_id} is one of `mixopt {line}`; write {command}:{study_id}"
        )
    return mixture_of_study(study, store, f"mixture '{method}:{prefix}'")


def mixture_of_study(study: Mapping[str, Any], store: Store, what: str) -> Mixture:
    """The mixture that a study of the table recommends, over its own domains; messages name `what` asks for it.

    Raises:
        ConfigError: it has no recommendation.
    """
    path = store.folder / "studies" / study["study_id"] / "recommendation.json"
    command = method_named(study["command"]).command_line
    again = f"run the study again (`mixopt {command}`), its finished runs are used again"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        weights = {str(name): float(weight) for name, weight in content["weights"].items()}
    except FileNotFoundError as error:
        raise ConfigError(f"{what}: {path} is not there; {again}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(f"{what}: {path} holds no weights ({error}); {again}") from error
    try:
        return Mixture.from_dict(weights)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; {again}") from error
