"""Interrupted equals uninterrupted, bitwise; and the kept model loads with `from_pretrained`."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from mixopt.models.build import build_model
from mixopt.policy import Policy
from mixopt.presets import model_spec
from mixopt.spec import OptimSpec
from mixopt.train import checkpoint
from mixopt.train.checkpoint import load_checkpoint, save_checkpoint
from mixopt.train.learner import make_adamw
from mixopt.train.loop import train


class Interrupted(Exception):
    pass


class Drifting(Policy):
    """A policy with state: its weights follow every loss that it was told of."""

    def __init__(self, prior):
        self.logits = np.log(prior.array)

    def weights(self, step):
        share = np.exp(self.logits - self.logits.max())
        return share / share.sum()

    def observe(self, step, loss_k, tokens_k):
        self.logits = self.logits + 0.05 * np.nan_to_num(loss_k) * (1 + step % 3)

    def state_dict(self):
        return {"logits": self.logits}

    def load_state_dict(self, state):
        self.logits = state["logits"]


def stop_at(tokens_limit):
    def progress(tokens):
        if tokens == tokens_limit:
            raise Interrupted

    return progress


@pytest.fixture
def drifting_spec(make_spec):
    spec = make_spec()
    return replace(spec, policy=replace(spec.policy, name=f"{__name__}:Drifting"))


@pytest.mark.parametrize("step", [1, 9, 10, 11, 39, 40])
def test_a_run_that_was_cut_off_ends_with_bitwise_the_same_numbers(drifting_spec, runtime, tmp_path, step):
    whole = train(drifting_spec, runtime)
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    with pytest.raises(Interrupted):
        train(drifting_spec, resumable, stop_at(step * 256))
    seen = []
    result = train(drifting_spec, resumable, seen.append)
    assert seen == [256 * s for s in range(step + 1, 41)]  # it went on, it did not start again
    assert (result.domains, result.curve, result.mixture) == (whole.domains, whole.curve, whole.mixture)
    assert result.train_seconds > 0


def test_a_run_cut_off_many_times_ends_with_the_same_numbers(drifting_spec, runtime, tmp_path):
    whole = train(drifting_spec, runtime)
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    for step in range(3, 40, 4):
        with pytest.raises(Interrupted):
            train(drifting_spec, resumable, stop_at(step * 256))
    assert train(drifting_spec, resumable).curve == whole.curve


def test_a_damaged_checkpoint_starts_the_run_again(make_spec, runtime, tmp_path):
    spec = make_spec()
    whole = train(spec, runtime)
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    with pytest.raises(Interrupted):
        train(spec, resumable, stop_at(20 * 256))
    (newest,) = (tmp_path / "run").glob("step-*")
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert train(spec, resumable).curve == whole.curve


def test_a_checkpoint_that_was_being_written_does_not_count(make_spec, runtime, tmp_path, monkeypatch):
    spec = make_spec()
    whole = train(spec, runtime)
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    with pytest.raises(Interrupted):
        train(spec, resumable, stop_at(20 * 256))

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full_disk)
        with pytest.raises(OSError, match="No space"):
            train(spec, resumable)
    assert [p.name for p in (tmp_path / "run").glob("step-*")] == ["step-00000020"]
    assert train(spec, resumable).curve == whole.curve


def test_a_checkpoint_that_the_disk_does_not_take_raises_the_systems_error(make_spec, runtime, tmp_path):
    """Which an executor knows for a full disk; here a limit on the size of files stands for one."""
    spec = make_spec()
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
        with pytest.raises(OSError, match="File too large") as raised:
            train(spec, resumable)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.errno == errno.EFBIG
    assert isinstance(raised.value.__cause__, SafetensorError)
    assert not list((tmp_path / "run").glob("step-*"))


def test_a_checkpoint_of_another_run_is_not_used(make_spec, runtime, tmp_path):
    resumable = replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    train(make_spec(), resumable)
    other = make_spec(seed=5)
    assert train(other, resumable).curve == train(other, runtime).curve


@pytest.mark.parametrize("model", ["gpt2-0.2m", "llama-0.4m"])
def test_the_kept_model_loads_with_from_pretrained_and_has_its_tokenizer(make_spec, runtime, tmp_path, model):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = make_spec(model=model, model_options={"heads": 2, "ffn_width": 64})
    train(spec, replace(runtime, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0, keep_checkpoint=True))
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["final"]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "final")
    assert type(loaded).__name__ == {"gpt2-0.2m": "GPT2LMHeadModel", "llama-0.4m": "LlamaForCausalLM"}[model]
    assert sum(p.numel() for p in loaded.parameters()) == spec.model.parameters
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "final")
    ids = tokenizer("12 + 30 = 42", return_tensors="pt").input_ids
    assert torch.isfinite(loaded(input_ids=ids).logits).all()


def test_state_keeps_every_bit(tmp_path):
    model = build_model(model_spec("gpt2-0.2m", 50), seed=0)
    optimizer = make_adamw(model, OptimSpec())
    rng = np.random.default_rng(0)
    state = {
        "run_id": "r",
        "x": rng.normal(size=20),
        "n": np.arange(3),
        "deep": {"list": [0.1, float("nan"), None, True]},
    }
    save_checkpoint(tmp_path, 7, model, optimizer, state)
    loaded = load_checkpoint(tmp_path, "r", model, optimizer)
    assert loaded is not None
    assert np.array_equal(loaded["x"], state["x"])
    assert loaded["n"].dtype == state["n"].dtype
    assert json.dumps(loaded["deep"]) == json.dumps(state["deep"])
    assert loaded["step"] == 7


def test_only_the_newest_checkpoint_stays(tmp_path):
    model = build_model(model_spec("gpt2-0.2m", 50), seed=0)
    optimizer = make_adamw(model, OptimSpec())
    (tmp_path / ".writing-1").mkdir()
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, model, optimizer, {"run_id": "r"})
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000010"]
    shutil.rmtree(tmp_path / "step-00000010")
    assert load_checkpoint(tmp_path, "r", model, optimizer) is None
