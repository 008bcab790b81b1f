"""Models are transformers' own classes, with the dimensions that the spec says."""

from __future__ import annotations

import pytest
import torch

from mixopt.models.build import build_model
from mixopt.presets import model_spec


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("gpt2-0.2m", {"tied_embeddings": False}), ("llama-0.4m", {"kv_heads": 1, "tied_embeddings": False}),
     ("gpt2-1m", {"ffn_width": 100}), ("bert-nano", {"ffn_width": 100, "heads": 4})],
)  # fmt: skip
def test_parameters_of_overridden_presets(name, overrides):
    spec = model_spec(name, 333, **overrides)
    assert sum(p.numel() for p in build_model(spec, seed=0).parameters()) == spec.parameters


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


def masked_model(**overrides):
    return build_model(model_spec("bert-nano", 300, init_std=0.2, **overrides), seed=0, eot_id=0)


def test_masked_models_see_both_sides_and_predict_any_positions():
    model = masked_model()
    tokens = torch.randint(0, 300, (2, 16), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 9] = 7
    positions = torch.tensor([[0, 3, 15], [1, 2, 0]])
    with torch.no_grad():
        every, other = model(input_ids=tokens).logits, model(input_ids=changed).logits
        some = model(input_ids=tokens, positions=positions).logits
    assert ((every - other)[0].abs().amax(dim=1) > 1e-3).all()
    assert torch.equal(every[1], other[1])
    torch.testing.assert_close(some, every[torch.arange(2)[:, None], positions], rtol=1e-5, atol=1e-5)


def test_bert_equals_the_published_function_and_trains_every_token(tmp_path):
    """Token 0 is an ordinary one here, not the padding that transformers' default never trains."""
    from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

    ours = masked_model()
    config = BertConfig(
        vocab_size=300, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256,
        max_position_embeddings=128,
    )  # fmt: skip
    reference = BertForMaskedLM(config).eval()
    reference.load_state_dict(ours.state_dict())
    tokens = torch.arange(50)[None]
    with torch.no_grad():
        torch.testing.assert_close(ours(input_ids=tokens).logits, reference(input_ids=tokens).logits)
    ours(input_ids=tokens).logits.sum().backward()
    assert ours.bert.embeddings.word_embeddings.weight.grad[0].abs().sum() > 0
    ours.save_pretrained(tmp_path)
    assert type(AutoModelForMaskedLM.from_pretrained(tmp_path)) is BertForMaskedLM
