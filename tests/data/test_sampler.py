import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mixopt.data.sampler import MixtureSampler, Permutation
from mixopt.errors import ConfigError, DataError
from mixopt.mixture import Mixture


def names(count):
    return [f"domain {k}" for k in range(count)]


def simplex(max_domains=12):
    """Weights with zeros, tiny and large entries."""
    amounts = st.lists(
        st.sampled_from([0, 1e-4, 0.1, 1, 2, 3, 7, 50]) | st.floats(1e-3, 1), min_size=1, max_size=max_domains
    )
    return amounts.filter(lambda a: sum(a) > 0).map(lambda a: np.array(a) / np.sum(a))


def draw(sampler, weights, sizes):
    batches = [sampler.next_batch(weights, n) for n in sizes]
    return np.concatenate([b[0] for b in batches]), np.concatenate([b[1] for b in batches])


@pytest.mark.slow
@given(weights=simplex())
def test_each_domain_is_within_one_of_its_share_after_every_sequence(weights):
    count = len(weights)
    domains, _ = draw(MixtureSampler([50] * count, 0, names(count)), weights, [300])
    drawn = np.cumsum(domains[:, None] == np.arange(count), axis=0)
    ideal = np.arange(1, 301)[:, None] * weights
    active = max(2, np.count_nonzero(weights))
    # Tijdeman's bound, which is the least possible.
    assert np.abs(drawn - ideal).max() <= 1 - 1 / (2 * active - 2) + 1e-9


@pytest.mark.slow
@given(weights=simplex(), n=st.integers(1, 400))
def test_totals_agree_with_largest_remainder_within_one(weights, n):
    sampler = MixtureSampler([50] * len(weights), 0, names(len(weights)))
    draw(sampler, weights, [n])
    counts = Mixture(tuple(names(len(weights))), tuple(weights)).counts(n)
    assert sampler.sequences_drawn.sum() == n
    assert np.abs(sampler.sequences_drawn - counts).max() <= 1


@pytest.mark.slow
@given(first=simplex(6), data=st.data())
def test_totals_follow_weights_that_change_at_every_step(first, data):
    count = len(first)
    mixtures = [first, *data.draw(st.lists(simplex().filter(lambda w: len(w) == count), max_size=8))]
    sampler = MixtureSampler([50] * count, 0, names(count))
    owed = np.zeros(count)
    for weights in mixtures:
        sampler.next_batch(weights, 7)
        owed += 7 * weights
    # Without knowledge of the weights to come, no rule keeps within one; the harmonic number bounds the greedy one.
    assert np.abs(sampler.sequences_drawn - owed).max() <= sum(1 / k for k in range(1, count + 1)) + 1


@pytest.mark.slow
@given(weights=simplex(), batch=st.integers(1, 20))
def test_zero_weight_is_never_drawn(weights, batch):
    sampler = MixtureSampler([50] * len(weights), 0, names(len(weights)))
    sampler.next_batch(np.full(len(weights), 1 / len(weights)), 11)
    domains, _ = sampler.next_batch(weights, batch)
    assert weights[domains].min() > 0


@pytest.mark.slow
@given(windows=st.integers(1, 700), seed=st.integers(0, 2**31 - 1))
def test_an_epoch_draws_every_window_once(windows, seed):
    sampler = MixtureSampler([windows], seed, ["web"])
    epochs = [sampler.next_batch(np.ones(1), windows)[1] for _ in range(2)]
    assert [sorted(epoch.tolist()) for epoch in epochs] == [list(range(windows))] * 2
    assert sampler.epochs.tolist() == [2.0]
    if windows > 100:
        assert not np.array_equal(*epochs)


@pytest.mark.slow
@given(windows=st.integers(1, 500), limit=st.integers(1, 600))
def test_limit_keeps_to_the_same_few_windows(windows, limit):
    sampler = MixtureSampler([windows], 3, ["web"], [limit])
    unique = min(windows, limit)
    epochs = [set(sampler.next_batch(np.ones(1), unique)[1].tolist()) for _ in range(3)]
    assert epochs[0] == epochs[1] == epochs[2]
    assert len(epochs[0]) == unique
    smaller = MixtureSampler([windows], 3, ["web"], [max(1, unique // 2)])
    assert set(smaller.next_batch(np.ones(1), 50)[1].tolist()) <= epochs[0]


@pytest.mark.slow
@given(weights=simplex(5))
def test_a_domains_order_does_not_depend_on_mixture_or_other_domains(weights):
    count = len(weights)
    alone = MixtureSampler([40], 5, ["domain 0"]).next_batch(np.ones(1), 200)[1]
    domains, windows = draw(MixtureSampler([40] * count, 5, names(count)), weights, [64, 1, 135])
    mine = windows[domains == 0]
    assert np.array_equal(mine, alone[: len(mine)])


def test_seed_and_name_change_the_order():
    def order(seed, name):
        return MixtureSampler([500], seed, [name]).next_batch(np.ones(1), 500)[1].tolist()

    assert order(0, "web") == order(0, "web")
    assert order(0, "web") != order(1, "web")
    assert order(0, "web") != order(0, "books")


@pytest.mark.slow
@settings(max_examples=50)
@given(weights=simplex(6), before=st.lists(st.integers(1, 60), max_size=5), limited=st.booleans())
def test_resumed_equals_uninterrupted(weights, before, limited):
    count = len(weights)

    def new():
        return MixtureSampler([30] * count, 1, names(count), [7] * count if limited else None)

    sampler = new()
    draw(sampler, weights, [1, *before])
    resumed = new()
    resumed.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    changed = weights[::-1].copy()
    for mixture in (weights, changed):
        expected, found = (draw(s, mixture, [13, 1, 40]) for s in (sampler, resumed))
        assert np.array_equal(expected, found)
    assert sampler.state_dict() == resumed.state_dict()


def test_batch_size_does_not_matter():
    weights = np.array([0.5, 0.3, 0.2])
    whole, parts = (draw(MixtureSampler([9] * 3, 0, names(3)), weights, sizes) for sizes in ([60], [1] * 60))
    assert np.array_equal(whole, parts)


@pytest.mark.slow
def test_remainders_do_not_drift():
    weights = np.array([0.1, 0.2, 0.7])
    sampler = MixtureSampler([1000] * 3, 0, names(3))
    draw(sampler, weights, [1000] * 100)
    # 0.1 and 0.2 have no finite binary form: a running sum in float64 would be off by now.
    grid = Mixture(tuple(names(3)), tuple(weights)).counts(2**44)
    exact = 100_000 * grid - sampler.sequences_drawn * 2**44  # whole numbers
    assert sampler.state_dict()["remainders"] == (exact / 2**44).tolist()
    assert sampler.sequences_drawn.tolist() == [10_000, 20_000, 70_000]


def test_state_of_another_run_is_refused():
    state = MixtureSampler([10, 10], 0, names(2)).state_dict()
    with pytest.raises(DataError, match="another seed"):
        MixtureSampler([10, 10], 1, names(2)).load_state_dict(state)


@pytest.mark.parametrize("weights", [[0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0], [1.0]])
def test_weights_that_are_no_mixture_are_refused(weights):
    with pytest.raises(ConfigError, match="mixture"):
        MixtureSampler([10, 10], 0, names(2)).next_batch(np.array(weights), 4)


@pytest.mark.parametrize(("sequences", "limits"), [([0], None), ([5], [0]), ([5, 5], None)])
def test_a_domain_without_windows_is_refused(sequences, limits):
    with pytest.raises(DataError, match="expected"):
        MixtureSampler(sequences, 0, ["web"], limits)


@given(size=st.integers(1, 3000), key=st.integers())
@example(size=1, key=0)
@example(size=2, key=0)
def test_bijection_for_any_size(size, key):
    images = Permutation(size, (key,))(np.arange(size))
    assert sorted(images.tolist()) == list(range(size))


@given(size=st.integers(10**9, 2**48), key=st.integers())
def test_large_sizes_stay_in_range_and_distinct(size, key):
    positions = np.linspace(0, size - 1, 500).astype(np.int64)
    images = Permutation(size, (key,))(positions)
    assert images.min() >= 0
    assert images.max() < size
    assert len(set(images.tolist())) == len(set(positions.tolist()))


@pytest.mark.slow
def test_every_order_of_five_is_equally_likely():
    keys = 12_000
    orders = Counter(tuple(Permutation(5, (key, "order"))(np.arange(5)).tolist()) for key in range(keys))
    expected = keys / math.factorial(5)
    chi_square = sum((count - expected) ** 2 / expected for count in orders.values())
    assert len(orders) == 120
    assert chi_square < 180  # 119 degrees of freedom: the 99.98th percentile


def test_positions_and_images_are_uncorrelated():
    positions = np.arange(10_000)
    correlations = [np.corrcoef(positions, Permutation(10_000, (key,))(positions))[0, 1] for key in range(50)]
    assert np.abs(correlations).max() < 0.05  # five standard deviations


def test_another_key_gives_another_order():
    first, second = (Permutation(1000, ("web", epoch))(np.arange(1000)) for epoch in (0, 1))
    assert (first == second).sum() < 10


def test_order_never_changes_between_versions():
    """Stored runs depend on these numbers: a change means a new `NUMERICS` in mixopt.spec."""
    assert Permutation(1000, (7, "web", 0))(np.arange(8)).tolist() == [255, 657, 762, 59, 297, 505, 185, 495]
