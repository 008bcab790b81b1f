"""A small spec over the shared synthetic data."""

from __future__ import annotations

import pytest

from mixopt.data.manifest import Manifest
from mixopt.presets import model_spec
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec, RunSpec
from mixopt.train.device import Runtime


@pytest.fixture(scope="session")
def make_spec(data_dir):
    manifest = Manifest.load(data_dir)

    def make(model="gpt2-0.2m", weights=(0.5, 0.3, 0.2), model_options=None, **changes) -> RunSpec:
        fields = {
            "model": model_spec(
                model, **{"vocab_size": manifest.vocab_size, "width": 32, "layers": 1, **(model_options or {})}
            ),
            "data": DataSpec(fingerprint=manifest.fingerprint, domains=manifest.domain_names),
            "policy": PolicySpec(weights=weights),
            "optim": OptimSpec(batch_tokens=256, lr=4e-3, final_lr=0.1),
            "evaluation": EvalSpec(tokens_per_domain=640, points=4, point_tokens_per_domain=320),
            "tokens": 256 * 40,
            "sequence_length": 32,
        }
        return RunSpec(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def runtime(data_dir):
    return Runtime(data_dir=str(data_dir), device="cpu")
