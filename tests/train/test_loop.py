"""The training loop against a plain one, and what it reports."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional

from mixopt.data.sampler import MixtureSampler
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError, ExecutorError
from mixopt.models.build import build_model
from mixopt.policy import Static
from mixopt.spec import DataSpec, EvalSpec, OptimSpec, PolicySpec
from mixopt.train.learner import learning_rate, make_adamw
from mixopt.train.loop import evaluation_steps, train

if TYPE_CHECKING:
    from mixopt.mixture import Mixture


def plain_training(spec, data_dir):
    """The textbook loop: same model, batches, optimiser; transformers' own loss. Returns validation losses."""
    torch.set_num_threads(1)
    data = TokenData.open(data_dir)
    model = build_model(spec.model, spec.seed, data.manifest.eot_id)
    optimizer = make_adamw(model, spec.optim)
    sampler = MixtureSampler(data.train_sequences(spec.sequence_length), spec.seed, spec.data.domains)
    for step in range(spec.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec.optim, step, spec.steps)
        domains, windows = sampler.next_batch(spec.mixture.array, spec.batch_sequences)
        batch = torch.from_numpy(data.batch("train", domains, windows, spec.sequence_length))
        logits = model(input_ids=batch[:, :-1]).logits
        functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
    losses = []
    for index in range(len(spec.data.domains)):
        count = spec.evaluation.tokens_per_domain // spec.sequence_length
        batch = data.batch("validation", np.full(count, index), np.arange(count), spec.sequence_length)
        batch = torch.from_numpy(batch)
        with torch.no_grad():
            logits = model(input_ids=batch[:, :-1]).logits
        losses.append(functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).item())
    return losses


@pytest.mark.parametrize(
    ("model", "options"), [("gpt2-0.2m", {}), ("llama-0.4m", {"heads": 2, "kv_heads": 1, "ffn_width": 64})]
)
def test_losses_equal_those_of_a_plain_loop(make_spec, runtime, data_dir, model, options):
    spec = make_spec(model=model, model_options=options)
    result = train(spec, runtime)
    assert result.status == "finished"
    assert list(result.losses().values()) == pytest.approx(plain_training(spec, data_dir), rel=2e-5)


def test_training_learns(make_spec, runtime):
    spec = make_spec(tokens=256 * 150)
    losses = train(spec, runtime).losses()
    assert np.mean(list(losses.values())) < 0.75 * math.log(spec.model.vocab_size)


def test_the_same_spec_gives_bitwise_the_same_losses(make_spec, runtime):
    spec = make_spec()
    one, two = train(spec, runtime), train(spec, runtime)
    assert (one.domains, one.curve, one.mixture) == (two.domains, two.curve, two.mixture)


def test_tokens_follow_the_mixture_within_one_sequence(make_spec, runtime):
    spec = make_spec()
    result = train(spec, runtime)
    seen = np.array([part.tokens_seen for part in result.domains.values()]) / spec.sequence_length
    assert result.tokens == spec.tokens == seen.sum() * spec.sequence_length
    assert (np.abs(seen - spec.mixture.array * seen.sum()) < 1).all()


def test_a_domain_without_weight_is_measured_and_not_trained_on(make_spec, runtime):
    result = train(make_spec(weights=(0.5, 0.5, 0.0)), runtime)
    absent = list(result.domains.values())[2]
    assert (absent.tokens_seen, absent.train_loss) == (0, None)
    assert absent.loss is not None
    assert absent.epochs == 0


def test_domains_that_are_only_measured_do_not_touch_the_training(make_spec, runtime, data_dir):
    """The same run with a third domain measured beside it: it trains on the same, bit by bit."""
    names = TokenData.open(data_dir).manifest.domain_names
    for trained, extra in (((0, 2), 1), ((1, 2), 0)):
        domains = tuple(names[index] for index in trained)
        data = DataSpec(fingerprint=make_spec().data.fingerprint, domains=domains)
        alone = make_spec(weights=(0.7, 0.3), data=data, evaluation=EvalSpec(points=2, tokens_per_domain=640))
        beside = replace(alone, evaluation=replace(alone.evaluation, only=(names[extra],)))
        assert beside.run_id != alone.run_id
        one, two = train(alone, runtime), train(beside, runtime)
        assert list(two.domains) == [*domains, names[extra]]
        for name in domains:
            loss = two.domains[name].loss
            assert loss == pytest.approx(one.domains[name].loss, rel=1e-6)  # measured in other passes
            bits = two.domains[name].bits_per_byte
            assert replace(one.domains[name], loss=loss, bits_per_byte=bits) == two.domains[name]
        assert two.mixture == one.mixture
        only = two.domains[names[extra]]
        assert (only.tokens_seen, only.unique_tokens, only.train_loss, only.epochs) == (0, 0, None, 0)
        assert only.loss > 0
        assert only.bits_per_byte > 0
        points = zip(two.curve["split"], two.curve["domain"], strict=True)
        assert [split for split, domain in points if domain == names[extra]] == ["validation"] * 2


def test_an_only_measured_domain_has_the_loss_that_it_has_with_weight_zero(make_spec, runtime, data_dir):
    names = TokenData.open(data_dir).manifest.domain_names
    zero = make_spec(weights=(0.5, 0.5, 0.0))
    only = replace(
        zero,
        data=replace(zero.data, domains=names[:2]),
        policy=PolicySpec(weights=(0.5, 0.5)),
        evaluation=replace(zero.evaluation, only=names[2:]),
    )
    assert train(only, runtime).losses() == train(zero, runtime).losses()


def test_a_domain_that_the_data_lacks_is_refused(make_spec, runtime):
    spec = make_spec(evaluation=EvalSpec(only=("poems",)))
    with pytest.raises(DataError, match=r"'poems'; .*chant, arithmetic, words"):
        train(spec, runtime)


def test_bits_per_byte_follow_from_the_validation_text(make_spec, runtime, data_dir):
    result = train(make_spec(), runtime)
    for entry in TokenData.open(data_dir).manifest.domains:
        part = result.domains[entry.name]
        expected = part.loss * entry.validation.tokens / math.log(2) / entry.validation.bytes
        assert part.bits_per_byte == pytest.approx(expected)


def test_unique_tokens_limit_how_much_is_distinct(make_spec, runtime):
    spec = make_spec()
    limited = replace(spec, data=replace(spec.data, unique_tokens=(640, None, 96)))
    domains = list(train(limited, runtime).domains.values())
    assert [domains[0].unique_tokens, domains[2].unique_tokens] == [640, 96]
    assert domains[0].epochs == pytest.approx(8.0, abs=0.1)
    assert domains[1].unique_tokens > 10_000


def test_gradient_accumulation_changes_nothing_but_rounding(make_spec, runtime):
    spec = make_spec()
    whole, parts = train(spec, runtime), train(spec, replace(runtime, micro_batch=3))
    assert list(parts.losses().values()) == pytest.approx(list(whole.losses().values()), rel=1e-4)


def test_curve_has_evenly_spaced_points_and_ends_in_the_result(make_spec, runtime):
    spec = make_spec()
    result = train(spec, runtime)
    assert evaluation_steps(spec) == [10, 20, 30, 40]
    curve = result.curve
    assert sorted(set(curve["step"])) == [10, 20, 30, 40]
    assert {len(column) for column in curve.values()} == {4 * 2 * 3}
    last = dict(zip(curve["domain"], curve["loss"], strict=True))  # the last row of a domain is its final validation
    assert last == result.losses()
    assert set(curve["split"]) == {"train", "validation"}


@pytest.mark.parametrize(("steps", "points", "expected"), [(3, 10, [1, 2, 3]), (10, 1, [10]), (7, 2, [4, 7])])
def test_evaluation_steps(make_spec, steps, points, expected):
    spec = make_spec(tokens=256 * steps, evaluation=EvalSpec(points=points))
    assert evaluation_steps(spec) == expected


@pytest.mark.parametrize("points", [1, 20])
def test_a_loss_that_is_not_finite_ends_the_run_as_diverged_with_its_curve(make_spec, runtime, points):
    spec = make_spec(
        optim=OptimSpec(batch_tokens=256, lr=1e30, grad_clip=0.0, warmup=0.5, schedule="linear"),
        evaluation=EvalSpec(points=points, tokens_per_domain=64, point_tokens_per_domain=64),
    )
    result = train(spec, runtime)
    assert result.status == "diverged"
    assert "not finite at step" in result.error
    assert result.tokens < spec.tokens or points == 1
    assert result.losses() == {}
    assert "train" in result.curve["split"]  # the steps before it are kept, evaluated or not
    assert np.isfinite(
        [v for s, v in zip(result.curve["split"], result.curve["loss"], strict=True) if s == "train"]
    ).all()


class Recorder(Static):
    """A policy that notes what the loop asks and tells."""

    made: Recorder

    def __init__(self, prior: Mixture) -> None:
        super().__init__(prior)
        Recorder.made = self
        self.calls: list = []

    def weights(self, step):
        self.calls.append(("weights", step))
        return super().weights(step)

    def observe(self, step, loss_k, tokens_k):
        self.calls.append(("observe", step, loss_k.copy(), tokens_k.copy()))


def test_the_policy_is_told_every_step_once_in_order_one_step_late(make_spec, runtime):
    spec = make_spec(weights=(0.9, 0.1, 0.0), evaluation=EvalSpec(points=1, tokens_per_domain=64))
    spec = replace(spec, policy=replace(spec.policy, name=f"{__name__}:Recorder"), tokens=256 * 6)
    train(spec, runtime)
    calls = Recorder.made.calls
    observed = [call[1] for call in calls if call[0] == "observe"]
    assert observed == list(range(6))
    for step in range(2, 6):
        assert calls.index(("weights", step)) > next(
            i for i, call in enumerate(calls) if call[:2] == ("observe", step - 2)
        )
    for call in calls:
        if call[0] == "observe":
            _, _, loss_k, tokens_k = call
            assert tokens_k.sum() == 256
            assert np.array_equal(np.isnan(loss_k), tokens_k == 0)
            assert (loss_k[tokens_k > 0] > 0).all()


def test_other_data_than_planned_is_refused(make_spec, runtime):
    spec = make_spec()
    other = replace(spec, data=DataSpec(fingerprint="0" * 64, domains=spec.data.domains))
    with pytest.raises(DataError, match="expected data with fingerprint 0000"):
        train(other, runtime)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(make_spec, runtime):
    with pytest.raises(ExecutorError, match="a GPU was asked for"):
        train(make_spec(), replace(runtime, device="cuda"))


def test_torch_s_threads_are_put_back(make_spec, runtime):
    before = torch.get_num_threads()
    train(make_spec(tokens=256), replace(runtime, threads=before + 1))
    assert torch.get_num_threads() == before


@pytest.mark.gpu
@pytest.mark.parametrize("compile_model", [False, True])
def test_a_gpu_gives_the_cpu_s_losses_but_for_precision(make_spec, runtime, compile_model):
    spec = make_spec(model_options={"width": 64}, tokens=256 * 100)
    cpu = train(spec, runtime)
    gpu = train(spec, replace(runtime, device="cuda", compile=compile_model))
    assert list(gpu.losses().values()) == pytest.approx(list(cpu.losses().values()), rel=0.02)
    exact = train(spec, replace(runtime, device="cuda", precision="float32"))
    assert list(exact.losses().values()) == pytest.approx(list(cpu.losses().values()), rel=0.005)


class Noted(Static):
    seen: ClassVar[dict[str, Any]]

    def __init__(self, prior: Mixture, **options: Any) -> None:
        super().__init__(prior)
        Noted.seen = options


def test_policy_spec_reaches_the_policy(make_spec, runtime):
    spec = make_spec(tokens=256)
    train(
        replace(spec, policy=PolicySpec(name=f"{__name__}:Noted", weights=spec.policy.weights, options={"s": 0.5})),
        runtime,
    )
    assert Noted.seen == {"s": 0.5}
