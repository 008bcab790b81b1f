"""Models are transformers' own classes, with the dimensions that the spec says."""

from __future__ import annotations

import pytest
import torch

from mixopt.models.build import build_model
from mixopt.presets import PRESETS, model_spec

SMALL = [name for name in PRESETS if name.endswith("m") and float(name.split("-")[1][:-1]) < 10]


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_every_preset_are_as_computed(name):
    spec = model_spec(name, 1000)
    with torch.device("meta"):
        model = build_model(spec, seed=0)
    assert sum(p.numel() for p in model.parameters()) == spec.parameters


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("gpt2-0.2m", {"tied_embeddings": False}), ("llama-0.4m", {"kv_heads": 1, "tied_embeddings": False}),
     ("gpt2-1m", {"ffn_width": 100})],
)  # fmt: skip
def test_parameters_of_overridden_presets(name, overrides):
    spec = model_spec(name, 333, **overrides)
    assert sum(p.numel() for p in build_model(spec, seed=0).parameters()) == spec.parameters


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_model_and_leaves_torch_s_generator_alone(name):
    spec = model_spec(name, 300)
    before = torch.get_rng_state()
    one, two, other = (build_model(spec, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", SMALL)
def test_losses_depend_on_earlier_tokens_only(name):
    model = build_model(model_spec(name, 300), seed=0).eval()
    tokens = torch.randint(0, 300, (2, 16), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 9:] = 7
    with torch.no_grad():
        one, two = model(input_ids=tokens).logits, model(input_ids=changed).logits
    assert torch.allclose(one[:, :9], two[:, :9], atol=1e-6)
    assert not torch.allclose(one[:, 10:], two[:, 10:], atol=1e-3)


def test_fresh_gpt2_equals_the_published_function():
    """The fused activation is GPT-2's own: logits equal those of a model with transformers' default config."""
    from transformers import GPT2Config, GPT2LMHeadModel

    spec = model_spec("gpt2-0.2m", 200)
    ours = build_model(spec, seed=0).eval()
    reference = GPT2LMHeadModel(
        GPT2Config(vocab_size=200, n_positions=128, n_embd=64, n_layer=2, n_head=2, n_inner=256)
    ).eval()
    reference.load_state_dict(ours.state_dict())
    tokens = torch.arange(50)[None]
    with torch.no_grad():
        assert torch.allclose(ours(input_ids=tokens).logits, reference(input_ids=tokens).logits, atol=1e-5)
