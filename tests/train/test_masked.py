"""Masked language models: training against a plain loop, fixed masks for evaluation, resuming, the kept model."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from mixopt.data.sampler import MixtureSampler
from mixopt.data.tokenizer import MASK_TOKEN, Vocabulary
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError
from mixopt.models.build import build_model
from mixopt.policy import Static
from mixopt.spec import EvalSpec, PolicySpec
from mixopt.train.batches import draw_numbers
from mixopt.train.learner import learning_rate, make_adamw
from mixopt.train.loop import train
from mixopt.train.masking import Masking, sequence_keys, stream_key

if TYPE_CHECKING:
    from mixopt.mixture import Mixture


@pytest.fixture(scope="module")
def make_masked(make_spec):
    def make(**changes):
        options = {"vocab_size": 301, "heads": 2, **changes.pop("model_options", {})}
        return make_spec(model="bert-nano", model_options=options, objective="masked", **changes)

    return make


def plain_training(spec, data_dir):
    """The textbook loop with transformers' own loss, on the masks that the spec's sequences have by definition."""
    torch.set_num_threads(1)
    data = TokenData.open(data_dir)
    names, length = spec.data.domains, spec.sequence_length
    masking = Masking(Vocabulary.of_data(data_dir, data.manifest), length, whole_word=spec.whole_word)

    def batch(split, domains, windows, stream, numbers):
        streams = np.array([stream_key("mask", stream, names[domain]) for domain in domains])
        tokens = data.batch(split, domains, windows, length)[:, :-1]
        masked = masking(tokens, sequence_keys(streams, numbers))
        labels = np.full_like(tokens, -100)
        rows, columns = np.nonzero(masked.targets != -100)
        labels[rows, masked.positions[rows, columns]] = masked.targets[rows, columns]
        return torch.from_numpy(masked.inputs), torch.from_numpy(labels)

    model = build_model(spec.model, spec.seed)
    optimizer = make_adamw(model, spec.optim)
    sampler = MixtureSampler(data.train_sequences(length), spec.seed, names)
    drawn = [0] * len(names)
    for step in range(spec.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec.optim, step, spec.steps)
        domains, windows = sampler.next_batch(spec.mixture.array, spec.batch_sequences)
        numbers = []
        for domain in domains:
            numbers.append(drawn[domain])
            drawn[domain] += 1
        inputs, labels = batch("train", domains, windows, spec.seed, np.array(numbers))
        model(input_ids=inputs, labels=labels).loss.backward()  # the mean over all masked tokens of the batch
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
    losses = []
    for index in range(len(names)):
        windows = np.arange(spec.evaluation.tokens_per_domain // length)
        inputs, labels = batch("validation", np.full(len(windows), index), windows, "validation", windows)
        with torch.no_grad():
            losses.append(model(input_ids=inputs, labels=labels).loss.item())
    return losses


@pytest.mark.parametrize("whole_word", [False, True])
def test_losses_equal_those_of_a_plain_loop(make_masked, runtime, data_dir, whole_word):
    spec = make_masked(whole_word=whole_word)
    plain = plain_training(spec, data_dir)
    result = train(spec, runtime)
    assert list(result.losses().values()) == pytest.approx(plain, rel=1e-5)
    parts = train(spec, replace(runtime, micro_batch=3))
    assert list(parts.losses().values()) == pytest.approx(plain, rel=1e-4)


def test_training_learns(make_masked, runtime):
    spec = make_masked(tokens=256 * 150, evaluation=EvalSpec(points=1))
    result = train(spec, runtime)
    assert result.parameters == spec.model.parameters
    assert np.mean(list(result.losses().values())) < 0.75 * np.log(301)


def test_bits_per_byte_are_not_there_and_epochs_count_all_tokens(make_masked, runtime):
    result = train(make_masked(), runtime)
    assert {part.bits_per_byte for part in result.domains.values()} == {None}
    assert sum(part.tokens_seen for part in result.domains.values()) == result.tokens == 256 * 40


def test_masks_of_evaluation_are_those_of_every_run(make_masked, runtime):
    """A model that never changes has one loss, whatever seed, batch, point or training mask."""
    still = replace(make_masked().optim, lr=1e-30, weight_decay=0.0)
    evaluation = EvalSpec(tokens_per_domain=640, points=4, point_tokens_per_domain=640)
    one = make_masked(optim=still, evaluation=evaluation)
    curve = train(one, runtime).curve
    rows = list(zip(curve["split"], curve["step"], curve["domain"], curve["loss"], strict=True))
    points = {}
    for split, _, domain, loss in rows:
        if split == "validation":
            points.setdefault(domain, set()).add(round(loss, 6))
    assert {len(losses) for losses in points.values()} == {1}  # points agree, the last included
    training = [loss for split, _, domain, loss in rows if (split, domain) == ("train", "words")]
    assert len(set(training)) == 4  # training masks go on changing

    other = replace(one, optim=replace(still, batch_tokens=512), policy=PolicySpec(weights=(0.2, 0.2, 0.6)))
    assert train(other, runtime).losses() == pytest.approx(train(one, runtime).losses(), rel=1e-6)
    short = replace(one, evaluation=replace(evaluation, tokens_per_domain=320))
    long = [loss for split, step, _, loss in rows if (split, step) == ("validation", 40)]
    assert list(train(short, runtime).losses().values()) != pytest.approx(long, rel=1e-4)
    pointed = replace(one, evaluation=replace(evaluation, point_tokens_per_domain=320))
    first = train(pointed, runtime).curve
    at = [loss for split, step, loss in zip(first["split"], first["step"], first["loss"], strict=True)
          if (split, step) == ("validation", 10)]  # fmt: skip
    assert at == pytest.approx(list(train(short, runtime).losses().values()), rel=1e-6)


class Interrupted(Exception):
    pass


class Recorder(Static):
    """A policy that notes what it is told."""

    made: Recorder

    def __init__(self, prior: Mixture) -> None:
        super().__init__(prior)
        Recorder.made = self
        self.told: list[tuple[np.ndarray, np.ndarray]] = []

    def observe(self, step, loss_k, tokens_k):
        self.told.append((loss_k.copy(), tokens_k.copy()))


def test_the_policy_is_told_losses_of_masked_tokens_and_counts_of_all(make_masked, runtime):
    spec = make_masked(policy=PolicySpec(name=f"{__name__}:Recorder", weights=(0.9, 0.1, 0.0)), tokens=256 * 6)
    train(spec, runtime)
    losses, tokens = (np.array(column) for column in zip(*Recorder.made.told, strict=True))
    assert (tokens.sum(axis=1) == 256).all()
    assert np.array_equal(np.isnan(losses), tokens == 0)
    # Of 300 tokens, at the start: the mean of a masked token, not its share of all tokens.
    assert np.nanmean(losses[0]) == pytest.approx(np.log(301), rel=0.05)


@pytest.mark.parametrize("step", [9, 21])
def test_a_run_that_was_cut_off_ends_with_bitwise_the_same_numbers(make_masked, runtime, tmp_path, step):
    spec = make_masked(whole_word=True)
    whole = train(spec, runtime)
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)

    def stop(tokens):
        if tokens == step * 256:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(spec, resumable, stop)
    result = train(spec, resumable)
    assert (result.domains, result.curve) == (whole.domains, whole.curve)


def test_runs_of_other_mixtures_share_the_masks_of_their_sequences():
    """The i-th sequence of a domain has one mask, whenever a mixture draws it; another epoch has another."""
    batches = [np.array([0, 1, 0, 0]), np.array([1, 1, 0])]
    numbers = [draw_numbers(batches[0], np.array([0, 0])), draw_numbers(batches[1], np.array([3, 1]))]
    assert [part.tolist() for part in numbers] == [[0, 0, 1, 2], [1, 2, 3]]


def test_the_kept_model_loads_with_from_pretrained_and_its_tokenizer_has_the_mask(make_masked, runtime, tmp_path):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    spec = make_masked(tokens=256 * 5)
    train(spec, replace(runtime, checkpoint_dir=str(tmp_path / "run"), keep_checkpoint=True))
    final = tmp_path / "run" / "final"
    assert json.loads((final / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(final), AutoTokenizer.from_pretrained(final)
    assert sum(p.numel() for p in model.parameters()) == spec.model.parameters
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == (MASK_TOKEN, spec.model.vocab_size - 1)
    ids = tokenizer(f"12 + {MASK_TOKEN} = 42", return_tensors="pt").input_ids
    assert (ids == tokenizer.mask_token_id).sum() == 1
    assert torch.isfinite(model(input_ids=ids).logits).all()


def test_a_model_without_a_row_for_the_mask_token_is_refused(make_masked, runtime):
    with pytest.raises(DataError, match=r"model\.vocab_size: .*found 300"):
        train(make_masked(model_options={"vocab_size": 300}), runtime)
