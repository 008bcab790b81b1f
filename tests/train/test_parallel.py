"""Several processes train as one does with the same batch, and go on from each other's checkpoints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixopt.spec import OptimSpec, PolicySpec
from mixopt.train.parallel import Group
from tests.train.processes import DRIFTING, Case, Outcome, run_case, run_together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mixopt.spec import RunSpec
    from mixopt.train.device import Runtime
    from tests.pair import Pair


@given(st.integers(1, 200), st.integers(1, 9))
def test_shares_are_equally_many_and_count_every_item_once(count: int, size: int) -> None:
    shares = [Group(rank, size).share(count) for rank in range(size)]
    assert len({len(indices) for indices, _ in shares}) == 1
    counted = np.concatenate([indices[weights == 1] for indices, weights in shares])
    assert sorted(counted.tolist()) == list(range(count))


def test_one_process_shares_nothing_out() -> None:
    indices, weights = Group().share(5)
    assert indices.tolist() == list(range(5))
    assert weights.all()
    assert Group.current() == Group()


STEPS, FIRST, SECOND = 24, 5, 13
MODELS, SHARDINGS = ("gpt2", "llama", "bert", "odd"), ("none", "fsdp")


class World:
    """Every run of this module: alone, on two processes, and begun by one, gone on by two, ended by one."""

    def __init__(self, make_spec: Callable[..., RunSpec], runtime: Runtime, folder: Path, pair: Pair) -> None:
        drifting = {"policy": PolicySpec(name=DRIFTING, weights=(0.5, 0.3, 0.2)), "tokens": 256 * STEPS}
        # Fits after steps 4, 12 and 20, each used four steps later: the first two are under way when it is cut.
        ado = {"min_points": 5, "warmup": 5, "skip": 0, "stride": 1, "refit_interval": 8, "adopt_after": 4}
        llama = {"heads": 2, "kv_heads": 1, "ffn_width": 64, "layers": 2}
        # `odd` has batches of 7 sequences, which no two processes can halve, in passes of 2.
        odd = {"optim": OptimSpec(batch_tokens=224, lr=4e-3, final_lr=0.1), "tokens": 224 * STEPS}
        self.specs = {
            "gpt2": make_spec(model_options={"layers": 2}, **drifting),
            "llama": make_spec(model="llama-0.4m", model_options=llama, **drifting),
            # Masks of whole words: sequences, and so processes, differ in how many tokens they predict.
            "bert": make_spec(
                model="bert-nano",
                model_options={"heads": 2, "vocab_size": 301},
                objective="masked",
                whole_word=True,
                **{**drifting, **odd},
            ),
            "odd": make_spec(**{**drifting, **odd}),
            "ado": make_spec(
                policy=PolicySpec(name="ado", weights=(0.5, 0.3, 0.2), options={**ado, "max_drift": 10.0}),
                tokens=256 * STEPS,
            ),
        }
        self.runtime, self.folder = replace(runtime, keep_checkpoint=True), folder
        names = [(model, sharding) for model in MODELS for sharding in SHARDINGS] + [("ado", "none")]
        self.alone = {model: run_case(self.case(model, "alone")) for model in self.specs}
        for name in names:
            run_case(self.case(*name, "shared", stop=FIRST))
        cases = [self.case(*name, "together") for name in names]
        cases += [self.case(*name, "shared", stop=SECOND) for name in names]
        outcomes = run_together(pair, cases)
        self.together = dict(zip(names, outcomes[: len(names)], strict=True))
        self.shared = dict(zip(names, outcomes[len(names) :], strict=True))
        self.ended = {name: run_case(self.case(*name, "shared")) for name in names}

    def case(self, model: str, *name: str, stop: int | None = None) -> Case:
        spec = self.specs[model]
        runtime = replace(
            self.runtime,
            checkpoint_dir=str(self.folder.joinpath(model, *name)),
            checkpoint_seconds=0.0 if "shared" in name else 60.0,
            sharding="fsdp" if "fsdp" in name else "none",
            micro_batch=2 if model in ("bert", "odd") else None,
        )
        return Case(spec, runtime, stop and stop * spec.optim.batch_tokens)


@pytest.fixture(scope="module")
def world(make_spec, runtime, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(make_spec, runtime, tmp_path_factory.mktemp("world"), pair)


def assert_same_numbers(ours: Outcome, reference: Outcome) -> None:
    assert ours.result is not None
    assert reference.result is not None
    assert ours.result.losses() == pytest.approx(reference.result.losses(), rel=1e-5)
    for trace, column in (("curve", "loss"), ("mixture", "weight")):
        rows, expected = getattr(ours.result, trace), getattr(reference.result, trace)
        assert rows[column] == pytest.approx(expected[column], rel=1e-5)
        assert {**rows, column: None} == {**expected, column: None}
    for part, expected in zip(ours.result.domains.values(), reference.result.domains.values(), strict=True):
        assert (part.tokens_seen, part.unique_tokens) == (expected.tokens_seen, expected.unique_tokens)
    assert ours.result.parameters == reference.result.parameters
    np.testing.assert_allclose(ours.told, reference.told[-len(ours.told) :], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", SHARDINGS)
@pytest.mark.parametrize("model", MODELS)
class TestTwoProcesses:
    def test_give_the_numbers_of_one(self, world: World, model: str, sharding: str) -> None:
        first, second = world.together[model, sharding]
        assert_same_numbers(first, world.alone[model])
        assert first.result is not None
        assert first.result.device == "cpu x1, 2 processes"
        assert len(first.told) == STEPS
        assert second.told == first.told  # the policies saw the same to the last bit
        assert second.result is not None
        assert (second.result.domains, second.result.curve) == (first.result.domains, first.result.curve)

    def test_go_on_where_one_stopped_and_one_where_they_did(self, world: World, model: str, sharding: str) -> None:
        batch = world.specs[model].optim.batch_tokens
        for process in world.shared[model, sharding]:
            assert process.progress == [batch * step for step in range(FIRST + 1, SECOND + 1)]
        ended = world.ended[model, sharding]
        assert ended.progress == [batch * step for step in range(SECOND + 1, STEPS + 1)]
        assert_same_numbers(ended, world.alone[model])

    def test_leave_a_model_for_from_pretrained(self, world: World, model: str, sharding: str) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

        loader = AutoModelForMaskedLM if model == "bert" else AutoModelForCausalLM
        expected = world.folder.joinpath(model, "alone", "final")
        kept = world.folder.joinpath(model, sharding, "together")
        assert [path.name for path in kept.iterdir()] == ["final"]
        ours = loader.from_pretrained(kept / "final")
        alone = loader.from_pretrained(expected)
        assert type(ours) is type(alone)
        assert ours.config.architectures == alone.config.architectures
        ids = AutoTokenizer.from_pretrained(kept / "final")("12 + 30 = 42", return_tensors="pt").input_ids
        torch.testing.assert_close(ours(input_ids=ids).logits, alone(input_ids=ids).logits, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_two_processes_hold_the_same_policy_which_is_that_of_one(world: World) -> None:
    first, second = (outcome.result for outcome in world.together["ado", "none"])
    alone, ended = world.alone["ado"].result, world.ended["ado", "none"].result
    assert first is not None
    assert second is not None
    assert first.trace is not None
    assert first.trace == second.trace  # to the last bit, laws, losses and counts included
    for result in (first, ended):
        assert result is not None
        assert alone is not None
        ours, theirs = result.trace, alone.trace
        assert ours is not None
        assert theirs is not None
        assert [moment.step for moment in ours.moments] == [moment.step for moment in theirs.moments] == [8, 16]
        np.testing.assert_array_equal(ours.points.weights, theirs.points.weights)  # tokens by domain, summed
        np.testing.assert_allclose(ours.points.losses, theirs.points.losses, rtol=1e-5)
        np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-3)
        assert result.losses() == pytest.approx(alone.losses(), rel=1e-5)
    assert np.abs(first.trace.weights[-1] - first.trace.weights[0]).max() > 0.01
