"""Synthetic tasks in the tasks' own schema, which a tiny model learns in seconds, and tiny checkpoints."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixopt.data.manifest import Manifest
from mixopt.models.build import build_model
from mixopt.presets import model_spec
from mixopt.train.checkpoint import save_final
from mixopt_finetune import suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from mixopt.evaluation import EvalTask

_WORDS = ("la", "ho", "hey", "yo", "na", "da", "mi", "sol", "re", "ti")


def save_bert(folder: Path, data: Path, *, seed: int = 0, **changes: Any) -> Path:
    """A one-layer BERT as `mixopt train --keep` leaves it, with the tokenizer of `data`."""
    manifest = Manifest.load(data)
    size = {"width": 32, "layers": 1, "context": 64, "vocab_size": manifest.vocab_size + 1, **changes}
    model = build_model(model_spec("bert-nano", **size), seed, manifest.eot_id)
    save_final(folder, model, data / "tokenizer", masked=True)
    return folder / "final"


def order_row(rng: random.Random) -> dict[str, Any]:
    """Of two words one is in each sentence; the label says which is where, so no bag of words tells it."""
    label = rng.randrange(2)
    first, second = ("do", "fa") if label else ("fa", "do")
    return {"sentence1": f"{filler(rng)} {first}", "sentence2": f"{filler(rng)} {second}", "label": label, "idx": 0}


def number_row(rng: random.Random) -> dict[str, Any]:
    """The answer is the number among words."""
    number = str(rng.randrange(100, 1000))
    context = f"{filler(rng, 4)} {number} {filler(rng, 6)}"
    answers = {"text": [number], "answer_start": [context.index(number)]}
    return {"id": "0", "title": "", "question": "which number", "context": context, "answers": answers}


def filler(rng: random.Random, most: int = 3) -> str:
    """One to `most` words that mean nothing."""
    return " ".join(rng.choices(_WORDS, k=rng.randint(1, most)))


def write_task(folder: Path, row: Callable[[random.Random], dict[str, Any]], train: int, validation: int) -> None:
    """Write both splits as JSON lines."""
    rng = random.Random(0)
    for split, count in (("train", train), ("validation", validation)):
        write_rows(folder / f"{split}.jsonl", [row(rng) for _ in range(count)])


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def resolve(
    names: list[str], data: Path | None, seeds: int = 1, limit: int | None = None, **settings: Any
) -> list[EvalTask]:
    """Resolved tasks with some settings changed."""
    found = suite.tasks(names, limit=limit, seeds=seeds, data=data)
    return [replace(task, settings={**task.settings, **settings}) for task in found]
