"""The contract that every model family meets; a new one is a parameter by its line in `FAMILIES`."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from mixopt.model_spec import FAMILIES, ModelSpec
from mixopt.models.build import build_model
from mixopt.presets import model_spec, presets


@pytest.fixture(params=FAMILIES)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """The smallest preset of a family."""
    names = FAMILIES.get(request.param).presets
    return min((model_spec(name, 300) for name in names), key=lambda spec: spec.parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", presets())
def test_parameters_of_every_preset_are_as_computed(name: str) -> None:
    spec = model_spec(name, 1000)
    with torch.device("meta"):
        model = build_model(spec, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == spec.parameters


def test_its_arithmetic_imports_no_torch(spec: ModelSpec) -> None:
    asked = "spec.parameters, spec.inner_width, spec.predicts, spec.flops_per_token(8)"
    code = f"import sys; from mixopt.model_spec import ModelSpec; spec = {spec!r}; {asked}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers"} & {*loaded}


def test_more_layers_width_and_text_cost_more(spec: ModelSpec) -> None:
    sizes = [spec.inner_width, spec.parameters, spec.flops_per_token(16)]
    assert all(size > 0 for size in sizes)
    for more in ({"layers": spec.layers + 1}, {"width": 2 * spec.width}, {"vocab_size": 2 * spec.vocab_size}):
        larger = model_spec(next(iter(spec.architecture.presets)), **{**vars(spec), **more})
        assert larger.parameters > spec.parameters
        assert larger.flops_per_token(16) > spec.flops_per_token(16)
    assert spec.flops_per_token(32) > spec.flops_per_token(16)


def test_the_same_seed_gives_the_same_model_and_leaves_torch_s_generator_alone(spec: ModelSpec) -> None:
    before = torch.get_rng_state()
    one, two, other = (build_model(spec, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_it_predicts_what_it_says_and_takes_a_batch(spec: ModelSpec) -> None:
    model = build_model(spec, seed=0, eot_id=0).eval()
    tokens = torch.randint(1, 300, (2, 16), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 9:] = 7
    with torch.no_grad():
        one, two = model(input_ids=tokens).logits, model(input_ids=changed).logits
    assert one.shape == (2, 16, spec.vocab_size)
    sees_later_tokens = not torch.allclose(one[:, :9], two[:, :9], atol=1e-6)
    assert sees_later_tokens == (spec.predicts == "masked")
