"""A proxy that is held against a reference: beside a plain loop of the published algorithm, cut off, in parts."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from mixopt.data.sampler import MixtureSampler
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError
from mixopt.models.build import build_model
from mixopt.spec import OptimSpec, PolicySpec
from mixopt.train.learner import learning_rate, make_adamw
from mixopt.train.loop import train
from tests.train.processes import Case, run_together

STEPS, ETA, SMOOTHING = 24, 0.7, 0.01
# Of batches of 8 sequences the third domain is in one of three.
SAMPLING = (0.6, 0.36, 0.04)


class Interrupted(Exception):
    pass


def stop_at(tokens_limit):
    def progress(tokens):
        if tokens == tokens_limit:
            raise Interrupted

    return progress


@pytest.fixture(scope="module")
def reference(make_spec, runtime, tmp_path_factory):
    """The spec of a reference run, and the folder of its model."""
    folder = tmp_path_factory.mktemp("reference")
    spec = make_spec(tokens=256 * STEPS)
    train(spec, replace(runtime, checkpoint_dir=str(folder), keep_checkpoint=True))
    return spec, folder / "final"


@pytest.fixture(scope="module")
def proxy(reference):
    spec, _ = reference
    options = {"eta": ETA, "smoothing": SMOOTHING}
    policy = PolicySpec(name="group_dro", weights=SAMPLING, options=options, reference=spec.run_id)
    return replace(spec, policy=policy)


@pytest.fixture(scope="module")
def against(reference, runtime):
    return replace(runtime, reference_dir=str(reference[1]))


@pytest.fixture(scope="module")
def whole(proxy, against):
    return train(proxy, against)


def part(result, name):
    """(P, K) of a run's trace."""
    trace = result.trace
    return np.array([[moment.parts[name][domain] for domain in trace.domains] for moment in trace.moments])


def plain_doremi(spec, data_dir, reference_dir):
    """The published steps, a token at a time: paths of α, its average and the scores, and the trained model."""
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    data, length = TokenData.open(data_dir), spec.sequence_length
    model = build_model(spec.model, spec.seed, data.manifest.eot_id)
    reference = AutoModelForCausalLM.from_pretrained(reference_dir)
    optimizer = make_adamw(model, spec.optim)
    sampler = MixtureSampler(data.train_sequences(length), spec.seed, spec.data.domains)
    count = len(SAMPLING)
    alpha, scores, average, paths = [1 / count] * count, [0.0] * count, [0.0] * count, []
    for step in range(spec.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec.optim, step, spec.steps)
        domains, windows = sampler.next_batch(np.array(SAMPLING), spec.batch_sequences)
        batch = torch.from_numpy(data.batch("train", domains, windows, length))
        inputs, targets = batch[:, :-1], batch[:, 1:].flatten()
        losses = functional.cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets, reduction="none")
        with torch.no_grad():
            logits = reference(input_ids=inputs).logits
        known = functional.cross_entropy(logits.flatten(0, 1), targets, reduction="none")
        of_token = np.repeat(domains, length).tolist()
        for k in range(count):
            excess = [
                max(ours - theirs, 0.0)
                for ours, theirs, domain in zip(losses.tolist(), known.tolist(), of_token, strict=True)
                if domain == k
            ]
            if excess:
                scores[k] = sum(excess) / len(excess)
        raised = [a * math.exp(ETA * score) for a, score in zip(alpha, scores, strict=True)]
        alpha = [(1 - SMOOTHING) * x / sum(raised) + SMOOTHING / count for x in raised]
        average = [mean * step / (step + 1) + a / (step + 1) for mean, a in zip(average, alpha, strict=True)]
        paths.append((alpha, average, list(scores)))
        weights = torch.tensor([alpha[domain] / SAMPLING[domain] for domain in of_token])
        ((weights * losses).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.optim.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
    return np.array(paths), model


def test_it_is_the_published_algorithm_token_by_token(proxy, whole, data_dir, reference):
    paths, model = plain_doremi(proxy, data_dir, reference[1])
    assert [moment.step for moment in whole.trace.moments] == list(range(STEPS))
    for index, name in enumerate(("alpha", "average", "excess")):
        np.testing.assert_allclose(part(whole, name), paths[:, index], atol=1e-6)
    data = TokenData.open(data_dir)
    windows = np.arange(proxy.evaluation.tokens_per_domain // proxy.sequence_length)
    for domain, loss in enumerate(whole.losses().values()):
        batch = data.batch("validation", np.full(len(windows), domain), windows, proxy.sequence_length)
        batch = torch.from_numpy(batch)
        with torch.no_grad():
            logits = model(input_ids=batch[:, :-1]).logits
        expected = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).item()
        assert loss == pytest.approx(expected, rel=2e-5)


def test_weights_move_and_the_sampling_does_not(whole, proxy):
    assert np.ptp(part(whole, "alpha"), axis=0).max() > 0.1
    seen = [domain.tokens_seen / whole.tokens for domain in whole.domains.values()]
    assert seen == pytest.approx(SAMPLING, abs=0.01)
    assert (whole.trace.weights == np.float32(SAMPLING)).all()


def test_passes_of_parts_of_a_batch_see_the_weights_of_the_whole(whole, proxy, against):
    parts = train(proxy, replace(against, micro_batch=3))
    np.testing.assert_allclose(part(parts, "alpha"), part(whole, "alpha"), atol=1e-5)
    assert list(parts.losses().values()) == pytest.approx(list(whole.losses().values()), rel=1e-4)


def test_a_proxy_cut_off_many_times_ends_with_the_same_bits(whole, proxy, against, tmp_path):
    resumable = replace(against, checkpoint_dir=str(tmp_path / "run"), checkpoint_seconds=0.0)
    for step in range(3, STEPS, 7):
        with pytest.raises(Interrupted):
            train(proxy, resumable, stop_at(step * 256))
    ended = train(proxy, resumable)
    assert (ended.curve, ended.trace) == (whole.curve, whole.trace)


def test_held_against_an_equal_model_nothing_is_in_excess(reference, against, proxy, data_dir, runtime, tmp_path):
    """The reference of one step is the proxy at its start: the first scores are 0, and α stays uniform."""
    untrained = tmp_path / "final"
    shutil.copytree(reference[1], untrained)
    build_model(proxy.model, proxy.seed).save_pretrained(untrained)
    result = train(replace(proxy, tokens=256), replace(against, reference_dir=str(untrained)))
    assert part(result, "excess").tolist() == [[0.0] * 3]
    assert part(result, "alpha")[0] == pytest.approx([1 / 3] * 3)


def test_a_masked_model_weighs_the_tokens_that_it_predicts(make_spec, runtime, tmp_path):
    spec = make_spec(model="bert-nano", model_options={"heads": 2}, objective="masked", tokens=256 * 8)
    spec = replace(spec, model=replace(spec.model, vocab_size=spec.model.vocab_size + 1))  # the mask token
    folder = tmp_path / "reference"
    train(spec, replace(runtime, checkpoint_dir=str(folder), keep_checkpoint=True))
    proxy = replace(spec, policy=PolicySpec(name="group_dro", weights=SAMPLING, reference=spec.run_id))
    held = replace(runtime, reference_dir=str(folder / "final"))
    whole, parts = train(proxy, held), train(proxy, replace(held, micro_batch=3))
    assert (part(whole, "excess")[-1] > 0).all()
    np.testing.assert_allclose(part(parts, "alpha"), part(whole, "alpha"), atol=1e-5)


def test_a_single_domain_is_trained_as_without_a_policy(proxy, against, runtime):
    fields = {"data": replace(proxy.data, domains=("words",)), "tokens": 256 * 6}
    held = train(replace(proxy, policy=replace(proxy.policy, weights=(1.0,)), **fields), against)
    free = train(replace(proxy, policy=PolicySpec(weights=(1.0,)), **fields), runtime)
    assert held.losses() == pytest.approx(free.losses(), rel=1e-6)
    assert (part(held, "average") == 1).all()


def test_a_proxy_counts_its_reference_s_passes(reference, proxy, whole):
    assert proxy.flops == pytest.approx(4 / 3 * reference[0].flops)
    assert whole.flops == proxy.flops


def test_a_reference_that_is_not_there_or_of_other_dimensions_is_one_line(proxy, against, reference, tmp_path):
    with pytest.raises(DataError, match=r"reference model /nowhere: .*`mixopt doremi`"):
        train(proxy, replace(against, reference_dir="/nowhere"))
    narrow = replace(proxy, model=replace(proxy.model, width=16))
    with pytest.raises(DataError, match="other dimensions"):
        train(narrow, against)


@pytest.mark.slow
def test_two_processes_weigh_as_one_does(whole, proxy, against, pair):
    """Whole or sharded, also where no two processes can halve a batch of 7 sequences, taken in passes of 2."""
    odd = replace(proxy, optim=OptimSpec(batch_tokens=224, lr=4e-3, final_lr=0.1), tokens=224 * STEPS)
    cases, alone = [], []
    for sharding in ("none", "fsdp"):
        runtime = replace(against, sharding=sharding)
        cases += [Case(proxy, runtime), Case(odd, replace(runtime, micro_batch=2))]
        alone += [whole, train(odd, against)]
    for expected, outcomes in zip(alone, run_together(pair, cases), strict=True):
        first, second = (outcome.result for outcome in outcomes)
        assert first.trace == second.trace
        np.testing.assert_allclose(part(first, "average"), part(expected, "average"), atol=1e-5)
        assert list(first.losses().values()) == pytest.approx(list(expected.losses().values()), rel=1e-5)
