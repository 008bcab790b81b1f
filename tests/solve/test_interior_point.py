"""The interior-point solver against cvxpy, against the separable solver, against closed forms and prices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError
from mixopt.solve import Bounds, PowerSum, TransferLaws, solve_simplex, solve_transfer
from mixopt.solve.bounds import project

AGGREGATES = ("sum", "sum_exp", "max")


def random_laws(rng: np.random.Generator, domains: int, laws: int, aggregate: str, *batch: int) -> TransferLaws:
    transfer = np.exp(rng.normal(-2.0, 1.0, (*batch, laws, domains)))
    transfer[..., np.arange(laws), np.arange(laws) % domains] = 1.0
    return TransferLaws(
        rng.uniform(0, 3, (*batch, laws)),
        rng.uniform(0.1, 4, (*batch, laws)),
        np.exp(rng.normal(-1, 0.6, (*batch, laws))),
        transfer,
        rng.uniform(0.1, 1, laws),
        aggregate,  # type: ignore[arg-type]
    )


def random_bounds(rng: np.random.Generator, domains: int) -> Bounds:
    floors = rng.uniform(0, 0.7 / domains, domains)
    caps = np.clip(rng.uniform(1 / domains, 1, domains), floors, 1)
    return Bounds(tuple(f"d{i}" for i in range(domains)), floors, caps if caps.sum() > 1.01 else np.ones(domains))


def with_cvxpy(law: TransferLaws, bounds: Bounds) -> float:
    import cvxpy as cp

    w = cp.Variable(law.shape[-1])
    parts = [
        law.floor[v] + law.amplitude[v] * cp.exp(-law.exponent[v] * cp.log(law.transfer[v] @ w))
        for v in range(law.floor.size)
    ]
    if law.aggregate == "max":
        goal = cp.maximum(*parts)
    else:
        outer = cp.exp if law.aggregate == "sum_exp" else (lambda part: part)
        goal = sum(share * outer(part) for share, part in zip(law.share, parts, strict=True))
    within = [cp.sum(w) == 1, w >= bounds.floors, w <= bounds.caps]
    problem = cp.Problem(cp.Minimize(goal), within)  # type: ignore[arg-type]
    return float(problem.solve(solver=cp.CLARABEL))  # type: ignore[arg-type]


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("seed", range(6))
def test_optimum_is_that_of_cvxpy(aggregate, seed):
    rng = np.random.default_rng(seed)
    domains = int(rng.integers(2, 8))
    law, bounds = random_laws(rng, domains, domains + 1, aggregate), random_bounds(rng, domains)
    solution = solve_transfer(law, bounds)
    assert float(solution.objective) == pytest.approx(with_cvxpy(law, bounds), rel=1e-6)
    assert solution.weights.sum() == pytest.approx(1, abs=1e-9)
    assert (solution.weights >= bounds.floors).all()
    assert (solution.weights <= bounds.caps).all()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(AGGREGATES))
@example(1150, "sum_exp")  # losses of 59 nats where the search starts
@example(271, "sum_exp")  # 163 nats
@example(1815, "max")  # there the slopes of the laws cancel
def test_no_random_feasible_mixture_is_better(seed, aggregate):
    rng = np.random.default_rng(seed)
    domains = int(rng.integers(2, 9))
    law, bounds = random_laws(rng, domains, int(rng.integers(1, 9)), aggregate), random_bounds(rng, domains)
    best = float(solve_transfer(law, bounds).objective)
    others = project(rng.dirichlet(np.ones(domains), 50), bounds.floors, bounds.caps)
    with np.errstate(over="ignore"):  # at a corner a loss may be hundreds of nats, and is then no better
        assert min(float(law.value(other)) for other in others) >= best - 1e-9 * abs(best)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(5652)  # a domain at its cap whose slope there is 16,000 times the others'
@example(41356)  # and 2,500 times
def test_without_transfer_it_is_the_separable_problem(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 8))
    amplitude, scale = rng.uniform(0.1, 5, size), rng.uniform(0.5, 20, size)
    exponent = np.exp(rng.uniform(np.log(0.05), np.log(4), size))
    bounds = random_bounds(rng, size)
    law = TransferLaws(np.zeros(size), amplitude, exponent, np.diag(scale), np.ones(size), "sum")
    solution = solve_transfer(law, bounds)
    expected = solve_simplex(PowerSum(amplitude, np.zeros(size), scale, exponent), bounds)
    np.testing.assert_allclose(solution.weights, expected.weights, atol=2e-6)
    np.testing.assert_allclose(
        solution.bound_multipliers, expected.bound_multipliers, atol=1e-4 * float(expected.multiplier)
    )


def test_pure_powers_of_one_exponent_have_the_closed_form():
    """min Σ s_j w_j^−b: w_j ∝ s_j^(1/(b+1))."""
    s, b = np.array([1.0, 2.0, 8.0]), 0.5
    law = TransferLaws(np.zeros(3), s, np.full(3, b), np.eye(3), np.ones(3), "sum")
    expected = s ** (1 / (b + 1)) / (s ** (1 / (b + 1))).sum()
    np.testing.assert_allclose(solve_transfer(law, Bounds.free("abc")).weights, expected, atol=1e-9)


def test_the_greatest_of_laws_with_one_exponent_has_the_closed_form():
    """min max s_j w_j^−b: all equal, so w_j ∝ s_j^(1/b)."""
    s, b = np.array([1.0, 2.0, 4.0]), 0.5
    law = TransferLaws(np.zeros(3), s, np.full(3, b), np.eye(3), np.ones(3), "max")
    solution = solve_transfer(law, Bounds.free("abc"))
    np.testing.assert_allclose(solution.weights, s ** (1 / b) / (s ** (1 / b)).sum(), atol=1e-9)
    np.testing.assert_allclose(solution.bound_multipliers, 0, atol=1e-9)


def test_a_law_without_a_share_is_no_part_of_the_maximum():
    floor = np.array([0.0, 100.0])
    law = TransferLaws(floor, np.ones(2), np.ones(2), np.eye(2), np.array([1.0, 0.0]), "max")
    solution = solve_transfer(law, Bounds(("a", "b"), np.full(2, 0.1), np.ones(2)))
    np.testing.assert_allclose(solution.weights, [0.9, 0.1], atol=1e-9)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_bound_multiplier_is_the_price_of_one_more_unit_of_weight(aggregate):
    rng = np.random.default_rng(5)
    law, names = random_laws(rng, 4, 4, aggregate), tuple("abcd")
    floors = np.array([0.97, 0.01, 0.0, 0.0])
    here = solve_transfer(law, Bounds(names, floors, np.ones(4)))
    step = 1e-5
    there = solve_transfer(law, Bounds(names, floors + step * np.eye(4)[0], np.ones(4)))
    assert here.bound_multipliers[0] > 0
    assert (there.objective - here.objective) / step == pytest.approx(here.bound_multipliers[0], rel=1e-3)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_batch_gives_what_its_problems_give_alone(aggregate):
    rng = np.random.default_rng(3)
    law, bounds = random_laws(rng, 4, 5, aggregate, 6), random_bounds(rng, 4)
    batch = solve_transfer(law, bounds)
    assert batch.weights.shape == (6, 4)
    for row in range(6):
        alone = TransferLaws(
            law.floor[row], law.amplitude[row], law.exponent[row], law.transfer[row], law.share, law.aggregate
        )
        solution = solve_transfer(alone, bounds)
        np.testing.assert_allclose(batch.weights[row], solution.weights, atol=1e-8)
        assert batch.objective[row] == pytest.approx(float(solution.objective), rel=1e-10)


def test_a_domain_whose_cap_is_its_floor_stays_there():
    law = TransferLaws(np.zeros(3), np.ones(3), np.full(3, 0.5), np.eye(3) + 0.1, np.ones(3), "sum_exp")
    bounds = Bounds(tuple("abc"), np.array([0.2, 0.0, 0.0]), np.array([0.2, 1.0, 1.0]))
    weights = solve_transfer(law, bounds).weights
    assert weights[0] == 0.2
    np.testing.assert_allclose(weights, [0.2, 0.4, 0.4], atol=1e-9)


@pytest.mark.parametrize("floors", [[0.3, 0.7], [0.0, 0.0]])
def test_bounds_that_leave_one_mixture_give_it(floors):
    law = random_laws(np.random.default_rng(1), 2, 2, "sum")
    caps = np.ones(2) if sum(floors) else np.array([0.3, 0.7])
    weights = solve_transfer(law, Bounds(("a", "b"), np.array(floors), caps)).weights
    np.testing.assert_allclose(weights, [0.3, 0.7])


def test_flat_laws_leave_the_weight_spread_evenly():
    law = TransferLaws(np.ones(3), np.zeros(3), np.ones(3), np.eye(3), np.ones(3), "sum")
    solution = solve_transfer(law, Bounds.free("abc"))
    np.testing.assert_allclose(solution.weights, 1 / 3, atol=1e-6)
    assert float(solution.objective) == 3.0


def test_a_cap_of_zero_where_the_law_is_infinite_is_refused():
    law = TransferLaws(np.zeros(2), np.ones(2), np.ones(2), np.eye(2), np.ones(2), "sum")
    with pytest.raises(ConfigError, match="raise a cap"):
        solve_transfer(law, Bounds(("a", "b"), np.zeros(2), np.array([0.0, 1.0])))


@pytest.mark.parametrize("field", ["floor", "amplitude", "exponent", "transfer", "share"])
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_laws_outside_the_convex_family_are_refused(field, bad):
    arrays = {
        "floor": np.ones(2),
        "amplitude": np.ones(2),
        "exponent": np.ones(2),
        "transfer": np.eye(2),
        "share": np.ones(2),
    }
    arrays[field] = np.full((2, 2), bad) if field == "transfer" else np.array([1.0, bad])
    if field == "floor" and bad == -1.0:
        assert TransferLaws(**arrays, aggregate="sum").shape == (2,)
        return
    with pytest.raises(ConfigError, match=field):
        TransferLaws(**arrays, aggregate="sum")


def test_a_start_beyond_floating_point_is_left_behind():
    """Σ exp(l) is infinite at the even mixture, e^4 at the best one: all in the domain that the steep law needs."""
    law = TransferLaws(
        np.zeros(1), np.full(1, 4.0), np.full(1, 6.0), np.array([[1.0, 0.1, 0.0]]), np.ones(1), "sum_exp"
    )
    assert law.laws(np.full(3, 1 / 3)) > 709
    solution = solve_transfer(law, Bounds.free("abc"))
    np.testing.assert_allclose(solution.weights, [1, 0, 0], atol=1e-9)
    assert float(solution.objective) == pytest.approx(np.exp(4))


def test_an_optimum_beyond_floating_point_is_refused():
    law = TransferLaws(np.full(1, 710.0), np.ones(1), np.ones(1), np.eye(1, 2), np.ones(1), "sum_exp")
    with pytest.raises(ConfigError, match="below 709 nats"):
        solve_transfer(law, Bounds.free("ab"))


def test_nothing_to_minimise_is_refused():
    with pytest.raises(ConfigError, match="no share"):
        TransferLaws(np.ones(2), np.ones(2), np.ones(2), np.eye(2), np.zeros(2), "sum")
