"""A small trained model, as `mixopt train --keep` leaves it, and task files to ask it."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from mixopt.data.manifest import Manifest
from mixopt.presets import model_spec
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec
from mixopt.train.device import Runtime
from tests.corpus import documents

if TYPE_CHECKING:
    from pathlib import Path

    from mixopt.result import RunResult

CHOICES = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{train: {folder}shown.jsonl, test: {folder}choices.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "{{{{start}}}}"
doc_to_choice: endings
doc_to_target: gold
target_delimiter: ""
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""

ROLLING = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: {folder}texts.jsonl}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - {{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}}
metadata: {{version: 1.0}}
"""


def train_small(data: Path, folder: Path) -> tuple[RunSpec, RunResult]:
    """A run of 60 steps whose model is kept in `folder/RUN/final`."""
    from mixopt.train.loop import train

    manifest = Manifest.load(data)
    spec = RunSpec(
        model=model_spec("gpt2-0.2m", manifest.vocab_size, width=32, layers=1, context=64),
        data=DataSpec(fingerprint=manifest.fingerprint, domains=manifest.domain_names),
        policy=PolicySpec(weights=(0.5, 0.3, 0.2)),
        optim=OptimSpec(batch_tokens=256, lr=4e-3),
        evaluation=EvalSpec(tokens_per_domain=320, points=1, point_tokens_per_domain=320),
        tokens=256 * 60,
        sequence_length=32,
    )
    place = folder / spec.run_id
    result = train(spec, Runtime(data_dir=str(data), checkpoint_dir=str(place), device="cpu", keep_checkpoint=True))
    return spec, result


def write_tasks(folder: Path, items: int = 16, *, absolute: bool = False) -> Path:
    """Two task files and their data: four endings of a passage (one is its own), and texts to predict.

    Args:
        folder: for the files; made.
        items: of each task.
        absolute: name the data by whole paths, as lm-eval by itself needs them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    texts = list(documents("arithmetic", 2 * items, seed=5))

    def question(text: str) -> dict[str, object]:
        gold = rng.randrange(4)
        endings = [rng.choice(texts)[40:60] for _ in range(4)]
        endings[gold] = text[40:60]
        return {"start": text[:40], "endings": endings, "gold": gold}

    _write(folder / "choices.jsonl", [question(text) for text in texts[:items]])
    _write(folder / "shown.jsonl", [question(text) for text in texts[items:]])
    _write(folder / "texts.jsonl", [{"text": text[:60]} for text in texts[:items]])
    place = f"{folder}/" if absolute else ""
    (folder / "made_choices.yaml").write_text(CHOICES.format(name="made_choices", folder=place))
    (folder / "made_texts.yaml").write_text(ROLLING.format(name="made_texts", folder=place))
    return folder


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
