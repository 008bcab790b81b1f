"""The training loop against a textbook one, batches, and the encoder that comes from the checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mixopt.errors import DataError
from mixopt.train.device import Device
from mixopt_finetune.encode import Inputs
from mixopt_finetune.loop import Features, _batches, _padded, fine_tune, load_model, predict
from mixopt_finetune.settings import FineTuning

CPU = Device("cpu", bfloat16=False, label="cpu")
TEXTS = "AutoModelForSequenceClassification"


@pytest.fixture
def load(bert):
    def load(head=TEXTS, dropout=0.0, **options):
        torch.manual_seed(0)
        return load_model(bert, head, options, dropout, CPU)

    return load


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 40, 50)
    tokens = [rng.integers(1, 300, length).astype(np.int32) for length in lengths]
    segments = [(np.arange(length) > 3).astype(np.int32) for length in lengths]
    return Features(Inputs(tokens, segments), {"labels": rng.integers(0, 2, 50)})


@pytest.mark.parametrize("head", [TEXTS, "AutoModelForQuestionAnswering"])
def test_the_encoder_is_the_checkpoints_and_only_the_head_is_new(bert, load, head):
    kept = load_file(bert / "model.safetensors")
    encoder = {name: tensor for name, tensor in load(head).state_dict().items() if name.startswith("bert.")}
    trained = {name for name in encoder if not name.startswith("bert.pooler.")}
    assert trained == {name for name in kept if name.startswith("bert.")}
    assert all(torch.equal(encoder[name], kept[name]) for name in trained)


def test_dropout_is_that_of_fine_tuning_not_of_pretraining(load):
    probabilities = {module.p for module in load(dropout=0.3).modules() if isinstance(module, torch.nn.Dropout)}
    assert probabilities == {0.3}


def test_a_checkpoint_without_part_of_the_encoder_is_refused(bert, tmp_path):
    shutil.copytree(bert, tmp_path, dirs_exist_ok=True)
    weights = load_file(bert / "model.safetensors")
    lost = "bert.encoder.layer.0.output.dense.weight"
    for changed in (
        {name: tensor for name, tensor in weights.items() if name != lost},
        {**weights, lost: weights[lost][:, :-1].contiguous()},
    ):
        save_file(changed, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(DataError, match=rf"encoder, found no {lost} of the right shape \(1 are wanting\)"):
            load_model(tmp_path, TEXTS, {}, 0.0, CPU)


def test_training_is_the_textbook_loop(load, features):
    """Gradient by gradient: AdamW with decay of matrices, clipping, a rate that falls to 0, the same batches."""
    tuning = FineTuning(learning_rate=1e-4, seed=3, batch=8, warmup=0.0, dropout=0.0)
    ours, plain = load(), load()
    fine_tune(ours, features, tuning, CPU, padding=0)
    decayed = [p for p in plain.parameters() if p.ndim > 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": [p for p in plain.parameters() if p.ndim == 1]}],
        weight_decay=0.0,
    )
    order, steps, step = np.random.default_rng(3), 3 * 7, 0
    plain.train()
    for _ in range(3):
        for rows in _batches(features.inputs.lengths, 8, order):
            for group in optimizer.param_groups:
                group["lr"] = 1e-4 * (768 / 32) * (1 - step / steps)
            losses = [
                plain(
                    input_ids=torch.from_numpy(features.inputs.tokens[row][None].astype(np.int64)),
                    token_type_ids=torch.from_numpy(features.inputs.segments[row][None].astype(np.int64)),
                    labels=torch.tensor([features.targets["labels"][row]]),
                ).loss
                for row in rows
            ]
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
            optimizer.step()
            step += 1
    assert step == steps
    for (name, ours_parameter), parameter in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours_parameter, parameter, rtol=1e-3, atol=1e-4, msg=name)
    moved = (ours.bert.embeddings.word_embeddings.weight - load().bert.embeddings.word_embeddings.weight).abs().max()
    assert moved > 1e-2


def test_an_epoch_has_every_example_once_in_batches_of_about_one_length():
    lengths = np.random.default_rng(0).integers(5, 120, 500)
    order = np.random.default_rng(1)
    epochs = [list(_batches(lengths, 16, order)) for _ in range(2)]
    for batches in epochs:
        assert sorted(np.concatenate(batches)) == list(range(500))
        padded = sum(len(rows) * lengths[rows].max() for rows in batches)
        assert padded < 1.1 * lengths.sum()
    assert [rows.tolist() for rows in epochs[0]] != [rows.tolist() for rows in epochs[1]]


def test_predictions_do_not_depend_on_what_is_predicted_beside(load, features):
    model = load()
    alone, together = (
        predict(model, features.inputs, lambda output, _: output.logits, CPU, rows, 0) for rows in (1, 50)
    )
    assert alone.shape == (50, 2)
    assert np.ptp(alone, axis=0).min() > 0.01
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_segments_go_to_models_that_have_them(load, features):
    model = load()
    assert "token_type_ids" in _padded(model, features.inputs, np.arange(2), CPU, 0)
    model.config.type_vocab_size = 1
    assert "token_type_ids" not in _padded(model, features.inputs, np.arange(2), CPU, 0)


def test_a_loss_that_is_not_finite_is_told(load, features):
    model = load()
    with torch.no_grad():
        model.classifier.weight.fill_(torch.nan)
    tuning = FineTuning(learning_rate=1e-4)
    with pytest.raises(DataError, match=r"diverged: .*epoch 1 of 3"):
        fine_tune(model, features, tuning, CPU, padding=0)
    with pytest.raises(DataError, match="not finite after training"):
        predict(model, features.inputs, lambda output, _: output.logits, CPU, 8, 0)


def test_bfloat16_trains_as_well(load, features):
    model = load()
    before = model.classifier.weight.detach().clone()
    fine_tune(model, features, FineTuning(learning_rate=1e-4, epochs=1), replace(CPU, bfloat16=True), padding=0)
    assert model.classifier.weight.dtype == torch.float32
    assert not torch.equal(model.classifier.weight, before)
