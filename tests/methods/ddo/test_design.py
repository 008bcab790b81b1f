"""Which runs DDO wants, and which of a history it takes for them."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History
from mixopt.methods.base import Proposal
from mixopt.methods.ddo.design import Design, factor_name, find_design, find_designs
from mixopt.mixture import Mixture

SKEWED = Mixture.from_dict({"code": 0.5, "web": 0.3, "books": 0.15, "law": 0.05})


def proposals(design: Design, seed: int = 0) -> list[Proposal]:
    return [
        Proposal(Mixture.normalised(dict(zip(design.reference.domains, c.tokens, strict=True))), c.total, seed, c.role)
        for c in design.cells
    ]


def joined(*histories: History) -> History:
    first = histories[0]
    return History(
        runs=tuple(f"{i}:{run}" for i, h in enumerate(histories) for run in h.runs),
        domains=first.domains,
        eval_domains=first.eval_domains,
        tokens_seen=np.concatenate([h.tokens_seen for h in histories]),
        losses=np.concatenate([h.losses for h in histories]),
        seeds=np.concatenate([h.seeds for h in histories]),
        parameters=np.concatenate([h.parameters for h in histories]),
    )


def test_two_runs_a_domain_and_the_base():
    roles = [str(cell.role) for cell in Design(Mixture.uniform(["a", "b"]), 600).cells]
    assert roles == ["base", "a x3", "a x1/3", "b x3", "b x1/3"]


def test_add_changes_one_domain_and_the_total():
    cell = Design(SKEWED, 1000).cells[1]
    np.testing.assert_allclose(cell.tokens, [1500, 300, 150, 50])
    assert cell.total == 2000


def test_replace_holds_the_total_and_the_others_proportions():
    cells = Design(SKEWED, 1000, (0.5, 1.5), "replace").cells
    for cell in cells:
        assert cell.tokens.sum() == pytest.approx(1000)
    np.testing.assert_allclose(cells[1].tokens, [750, 150, 75, 25])


@pytest.mark.parametrize("perturb", ["add", "replace"])
@pytest.mark.parametrize("factors", [(1 / 3, 3.0), (3.0,), (0.25, 0.5, 1.6)])
@pytest.mark.parametrize("batch", [1, 2048, 16384])
def test_runs_are_recognised_in_whole_batches_and_sequences(perturb, factors, batch, world):
    reference = Mixture.from_dict({"code": 0.3, "web": 0.3, "books": 0.2, "law": 0.2})
    design = Design(reference, world.tokens, factors, perturb)
    history = world.train(proposals(design), batch)
    np.testing.assert_array_equal(design.match(history), np.arange(len(design.cells)))


def test_a_tiny_domain_is_recognised_though_its_rounding_is_coarse(world):
    reference = Mixture.from_dict({"code": 0.599, "web": 0.3, "books": 0.1, "law": 0.001})
    design = Design(reference, 1_000_000)
    history = world.train(proposals(design), 2048)
    np.testing.assert_array_equal(design.match(history), np.arange(len(design.cells)))


def test_runs_of_other_totals_and_mixtures_are_ignored(world):
    design = Design(world.uniform, world.tokens)
    ours = world.train(proposals(design))
    longer = world.train(proposals(Design(world.uniform, 4 * world.tokens)))
    other = world.train([Proposal(SKEWED, world.tokens, 0, "skewed")])
    found = design.match(joined(longer, ours, other))
    assert (found[: len(longer)] == -1).all()
    assert found[-1] == -1
    np.testing.assert_array_equal(found[len(longer) : -1], np.arange(len(design.cells)))


def test_of_two_runs_near_the_base_the_nearer_one_is_it(world):
    near = Mixture.from_dict({"code": 0.26, "web": 0.25, "books": 0.25, "law": 0.24})
    design = Design(world.uniform, world.tokens)
    history = joined(world.train([Proposal(near, world.tokens, 0, "verify")]), world.train(proposals(design)))
    assert design.match(history)[0] == -1


def test_only_the_seeds_that_count_are_taken(world):
    design = Design(world.uniform, world.tokens)
    history = joined(world.train(proposals(design, 0)), world.train(proposals(design, 1)))
    found = design.match(history, (1,))
    assert (found[: len(design.cells)] == -1).all()
    assert (found[len(design.cells) :] >= 0).all()


def test_two_equal_runs_of_one_seed_are_refused(world):
    design = Design(world.uniform, world.tokens)
    history = world.train(proposals(design))
    with pytest.raises(ConfigError, match="are both `base` with seed 0"):
        design.match(joined(history, history.select(np.array([0]))))


def test_models_of_two_sizes_are_refused(world):
    design = Design(world.uniform, world.tokens)
    history = world.train(proposals(design))
    history.parameters[3] = 7
    with pytest.raises(ConfigError, match="0 and 7 parameters"):
        design.match(history)


def test_other_domains_are_refused(world):
    history = world.train([Proposal(world.uniform, 1000, 0, "base")])
    with pytest.raises(ConfigError, match="domains are code, web, books, law"):
        Design(Mixture.uniform(["a", "b"]), 1000).match(history)


@pytest.mark.parametrize(
    ("factor", "name"), [(3.0, "x3"), (1 / 3, "x1/3"), (0.2, "x1/5"), (2.5, "x2.5"), (0.4, "x0.4"), (1.5, "x1.5")]
)
def test_factors_are_named_as_people_write_them(factor, name):
    assert factor_name(factor) == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SKEWED, 100, ()), "different numbers"),
        ((SKEWED, 100, (3.0, 3.0)), "different numbers"),
        ((SKEWED, 100, (1.1,)), "differ from 1"),
        ((SKEWED, 100, (-3.0,)), "differ from 1"),
        ((SKEWED, 100, (3.0,), "swap"), "expected add or replace"),
        ((SKEWED, 100, (3.0,), "replace"), "is the whole run"),
        ((Mixture.from_dict({"a": 1.0, "b": 0.0}), 100), "'b' has weight 0"),
        ((Mixture.from_dict({"a": 1.0}), 100), "two domains or more"),
    ],
)
def test_designs_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Design(*arguments)


@pytest.mark.parametrize("perturb", ["add", "replace"])
@pytest.mark.parametrize("factors", [(1 / 3, 3.0), (1.5, 2.0), (0.2, 0.5, 3.0)])
def test_the_design_of_a_table_is_found(perturb, factors, world):
    reference = Mixture.from_dict({"code": 0.3, "web": 0.3, "books": 0.2, "law": 0.2})
    design = Design(reference, world.tokens, factors, perturb)
    found = find_design(world.train(proposals(design), 2048))
    assert found.perturb == perturb
    assert found.factors == pytest.approx(tuple(sorted(factors)), rel=2e-3)
    assert found.tokens == pytest.approx(world.tokens, rel=0.01)
    assert found.reference.distance(reference) < 0.005


def test_a_table_without_a_design_says_what_it_expected(world):
    rng = np.random.default_rng(0)
    runs = [
        Proposal(Mixture.normalised(dict(zip(world.domains, rng.dirichlet(np.ones(4)), strict=True))), 1000, 0, str(i))
        for i in range(6)
    ]
    with pytest.raises(ConfigError, match=r"base run, .*one domain"):
        find_design(world.train(runs))


def test_the_design_of_tiny_runs_is_found_though_they_are_rounded_to_sequences():
    sequences = np.array(
        [[20, 20, 20], [59, 19, 20], [7, 20, 19], [20, 60, 19], [19, 7, 20], [20, 19, 61], [20, 19, 7]]
    )
    history = History(
        runs=tuple("abcdefg"),
        domains=("code", "web", "law"),
        eval_domains=("code",),
        tokens_seen=sequences * 32.0,
        losses=np.full((7, 1), 4.0),
        seeds=np.zeros(7, dtype=np.int64),
        parameters=np.zeros(7, dtype=np.int64),
    )
    design = find_design(history)
    assert (design.perturb, design.factors) == ("add", pytest.approx((1 / 3, 3.0)))
    assert sorted(design.match(history).tolist()) == list(range(7))


@pytest.mark.parametrize("perturb", ["add", "replace"])
@pytest.mark.parametrize("reference", [Mixture.uniform(SKEWED.domains), SKEWED], ids=["uniform", "skewed"])
def test_designs_of_several_scales_are_told_apart(world, perturb, reference):
    factors = (1 / 3, 1.8)
    designs = [Design(reference, tokens, factors, perturb) for tokens in (200_000, 800_000, 3_200_000)]
    runs = [world.train(proposals(design, seed), 1024) for design in designs for seed in (0, 1)]
    mixed = joined(*runs)
    mixed = mixed.select(np.random.default_rng(0).permutation(len(mixed)))
    found = find_designs(mixed)
    assert len(found) == 3
    for one, other in zip(found, designs, strict=True):
        assert one.tokens == pytest.approx(other.tokens, rel=0.01)
        assert one.perturb == perturb
        assert one.factors == pytest.approx(factors, rel=0.02)
        assert one.reference.distance(reference) < 0.01


def test_designs_of_two_domains_are_found(world):
    pair = Mixture.uniform(["a", "b"])
    amounts = np.stack([cell.tokens for n in (1e5, 1e6) for cell in Design(pair, int(n)).cells])
    count = len(amounts)
    history = History(
        tuple(map(str, range(count))), pair.domains, pair.domains, amounts, np.ones((count, 2)),
        np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64),
    )  # fmt: skip
    assert [design.tokens for design in find_designs(history)] == [100_000, 1_000_000]


def test_a_scale_without_its_base_is_no_scale_and_other_runs_are_left_aside(world):
    one, other = (Design(Mixture.uniform(SKEWED.domains), tokens) for tokens in (200_000, 800_000))
    lost = world.train(proposals(other)[1:])
    stray = world.train([Proposal(SKEWED, 500_000, 0, "stray")])
    found = find_designs(joined(world.train(proposals(one)), lost, stray))
    assert [design.tokens for design in found] == [200_000]


def test_a_table_without_any_design_is_refused(world):
    runs = world.train([Proposal(SKEWED, tokens, 0, f"{tokens}") for tokens in (1000, 5000, 20_000)])
    with pytest.raises(ConfigError, match="no design of DDO"):
        find_designs(runs)
