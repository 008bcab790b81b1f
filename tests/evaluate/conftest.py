"""A small trained causal model, kept as `mixopt train --keep` keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mixopt.data.manifest import Manifest
from mixopt.presets import model_spec
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec
from mixopt.train.runtime import Runtime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def kept_run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, Path]:
    """A run of 60 steps on the shared corpus, and the folder of its model."""
    from mixopt.train.loop import train

    manifest = Manifest.load(data_dir)
    spec = RunSpec(
        model=model_spec("gpt2-0.2m", manifest.vocab_size, width=32, layers=1, context=64),
        data=DataSpec(fingerprint=manifest.fingerprint, domains=manifest.domain_names),
        policy=PolicySpec(weights=(0.5, 0.3, 0.2)),
        optim=OptimSpec(batch_tokens=256, lr=4e-3),
        evaluation=EvalSpec(tokens_per_domain=320, points=1, point_tokens_per_domain=320),
        tokens=256 * 60,
        sequence_length=32,
    )
    folder = tmp_path_factory.mktemp("checkpoints") / spec.run_id
    train(spec, Runtime(data_dir=str(data_dir), checkpoint_dir=str(folder), device="cpu", keep_checkpoint=True))
    return spec, folder / "final"


@pytest.fixture(scope="session")
def checkpoint(kept_run: tuple[RunSpec, Path]) -> Path:
    """The folder of the model."""
    return kept_run[1]
