"""The offline suite: downstream tasks made of held-out documents and of generated problems; no network.

    offline_continuation_DOMAIN   which of four continuations is the passage's own
    offline_cloze_DOMAIN          the last word of a passage
    offline_brackets              which of four ways to close the open brackets fits
    offline_arithmetic            which of four numbers is the answer

`offline`, `offline_continuation` and `offline_cloze` stand for all of theirs. Nothing is taken from training
documents, and the same data and seed give the same bytes on any machine.
"""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mixopt.errors import ConfigError, DataError
from mixopt.evaluate.offline.cloze import cloze_items
from mixopt.evaluate.offline.continuation import continuation_items, last_word, multiple_choice
from mixopt.evaluate.offline.generated import arithmetic_items, bracket_items

if TYPE_CHECKING:
    from mixopt.data.manifest import Manifest
    from mixopt.evaluate.offline.documents import HeldOut
    from mixopt.evaluation import EvalTask

# The first stands for the task: what a passage adds to its ending's likelihood tells more than the likelihood.
CONTINUATION_METRICS = ("acc_mutual_info", "acc", "acc_norm")

# Items of a task: a share of one half then has a standard error of 3.5 %.
ITEMS = 200

_CONTINUATION, _CLOZE = "offline_continuation", "offline_cloze"
_GENERATED = {"offline_brackets": bracket_items, "offline_arithmetic": arithmetic_items}
# The names that do not depend on the data; the others go on from the middle two with a domain's name.
NAMES = ("offline", _CONTINUATION, _CLOZE, *_GENERATED)


def names(data_dir: str | Path) -> list[str]:
    """Every single task for a data folder, whether its held-out documents suffice or not.

    Raises:
        DataError: no prepared data there.
    """
    return [*_domain_tasks(_manifest(data_dir)), *_GENERATED]


def tasks(
    names: Sequence[str],
    data_dir: str | Path | None,
    *,
    shots: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[EvalTask]:
    """The tasks that `names` stand for, each once, with their items.

    A group leaves out domains whose held-out documents give no item; for a domain that is named, that is an error.

    Args:
        names: single tasks or groups (`NAMES`).
        data_dir: prepared data; None where the names need none.
        shots: None or 0: the items fill the context of the smallest models.
        limit: most items that are scored.

    Raises:
        ConfigError: an unknown name, shots, or data that is needed and not given.
        DataError: no prepared data, or held-out documents that give no item.
    """
    found: dict[str, EvalTask] = {}
    for name in names:
        if shots:
            raise ConfigError(
                f"--tasks {name}: expected 0 shots, found {shots}: the offline suite's prompts fill the context of "
                "the smallest models as they are"
            )
        if name not in _GENERATED:
            found |= _from_documents(name, data_dir, seed)
        for generated in _GENERATED:
            if name in ("offline", generated):
                found[generated] = _generated(generated, seed)
    return [replace(task, settings={**task.settings, "limit": limit}) for task in found.values()]


@lru_cache(maxsize=16)
def _generated(name: str, seed: int) -> EvalTask:
    return multiple_choice(name, _GENERATED[name](ITEMS, random.Random(f"{name}-{seed}")))


def _from_documents(name: str, data_dir: str | Path | None, seed: int) -> dict[str, EvalTask]:
    """A task, or the tasks of a group that have items, by name."""
    if data_dir is None:
        raise ConfigError(f"--tasks {name}: expected prepared data to make it of (--data), found none")
    manifest = _manifest(data_dir)
    known = _domain_tasks(manifest)
    if name in NAMES:
        asked = [one for one, (kind, _) in known.items() if name in ("offline", kind)]
    elif name in known:
        asked = [name]
    else:
        near = difflib.get_close_matches(name, [*NAMES, *known], n=3, cutoff=0.5)
        raise ConfigError(f"--tasks: unknown task {name!r}; nearest: {', '.join(near) or ', '.join(NAMES)}")
    folder = Path(data_dir).resolve()
    built = {one: _domain_task(one, *known[one], folder, manifest.fingerprint, seed) for one in asked}
    found = {one: task for one, task in built.items() if task}
    if not found:
        held_out = {entry.name: entry.validation.tokens for entry in manifest.domains}
        sizes = ", ".join(f"{domain!r} {held_out[domain]:,}" for domain in {known[one][1]: None for one in asked})
        raise DataError(
            f"--tasks {name}: the split has no items: the held-out documents in {data_dir} (tokens: {sizes}) have "
            "no passage for it; hold out more text (mixopt data prepare --validation-share) or leave the task out"
        )
    return found


@lru_cache(maxsize=64)
def _domain_task(name: str, kind: str, domain: str, folder: Path, fingerprint: str, seed: int) -> EvalTask | None:
    """A domain's task; None where its held-out documents give no item."""
    held_out, rng = _held_out(folder, fingerprint), random.Random(f"{name}-{seed}")
    if kind == _CONTINUATION:
        items = continuation_items(held_out, domain, ITEMS, rng)
        return multiple_choice(name, items, metrics=CONTINUATION_METRICS) if items else None
    items = cloze_items(held_out, domain, ITEMS, rng)
    return last_word(name, items) if items else None


@lru_cache(maxsize=1)
def _held_out(folder: Path, fingerprint: str) -> HeldOut:  # noqa: ARG001 (tells new data in an old folder)
    from mixopt.evaluate.offline.documents import HeldOut

    return HeldOut(folder)


def _manifest(data_dir: str | Path) -> Manifest:
    from mixopt.data.manifest import Manifest

    return Manifest.load(data_dir)


def _domain_tasks(manifest: Manifest) -> dict[str, tuple[str, str]]:
    """Kind and domain of each task that is made of documents, by its name."""
    words: dict[str, str] = {}
    for domain in manifest.domain_names:
        word = base = re.sub(r"[^\w.-]+", "_", domain).strip("_") or "domain"
        number = 2
        while word in words:
            word, number = f"{base}_{number}", number + 1
        words[word] = domain
    return {f"{kind}_{word}": (kind, domain) for kind in (_CONTINUATION, _CLOZE) for word, domain in words.items()}
