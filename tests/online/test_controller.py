"""Drawing by a policy in a loop of one's own: nothing lost, nothing repeated, whatever the loader."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from torch import distributed
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from mixopt.data.sampler import MixtureSampler
from mixopt.errors import ConfigError, DataError
from mixopt.mixture import Mixture
from mixopt.online import MixtureStream, OnlineMixture, stream
from mixopt.policy import Odm
from tests.online.problems import LENGTHS, Following, Seen, losses_of, numbered, train

# torchdata 0.11 still calls what torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")


def make(policy: object = None, **changes) -> OnlineMixture:
    options = {"batch_size": 3, "accumulate": 2, "seed": 5, **changes}
    return OnlineMixture(numbered(), policy or Following(), **options)


def reference(steps: int, sequences: int = 6, seed: int = 5) -> tuple[Seen, list[list[float]]]:
    """The same run without a loader: the sampler by itself, losses two steps late, told as dense sums."""
    policy, sampler, seen, losses = Following(), MixtureSampler(list(LENGTHS.values()), seed, LENGTHS), Seen(), []
    for step in range(steps):
        if step >= 2:
            policy.observe(step - 2, np.array(losses[step - 2]), np.zeros(3))
        weights = policy.weights(step)
        domains, windows = sampler.next_batch(weights, sequences)
        seen.items.append(list(zip(domains.tolist(), windows.tolist(), strict=True)))
        seen.mixtures.append(weights.tolist())
        values = losses_of({"d": torch.tensor(domains), "i": torch.tensor(windows)}).double().numpy()
        with np.errstate(invalid="ignore"):
            losses.append([float(values[domains == k].sum() / (4 * (domains == k).sum())) for k in range(3)])
    return seen, losses


def is_exact(items: list[tuple[int, int]]) -> bool:
    """Whether each domain's indices come in whole epochs, each index once, and a part of one."""
    for domain, length in enumerate(LENGTHS.values()):
        drawn = [index for k, index in items if k == domain]
        epochs = [drawn[at : at + length] for at in range(0, len(drawn), length)]
        if any(len(set(epoch)) != len(epoch) for epoch in epochs):
            return False
    return True


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker")  # on a machine of two cores
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("kind", [DataLoader, StatefulDataLoader])
def test_items_and_mixtures_are_those_of_the_sampler_alone(kind, workers) -> None:
    online = make(steps=20)
    with_context = {"multiprocessing_context": "fork"} if workers else {}
    seen = train(online, kind(online.dataset, batch_size=3, num_workers=workers, **with_context), 20)
    expected, losses = reference(20)
    assert seen.mixtures == expected.mixtures
    assert seen.items == expected.items
    assert np.array_equal([told[1] for told in online.policy.told], losses, equal_nan=True)
    drawn = [item for items in seen.items for item in items]
    assert is_exact(drawn)
    assert Counter(domain for domain, _ in drawn)[2] > 2 * LENGTHS["maths"]  # several epochs, cut by changes
    assert len({tuple(mixture) for mixture in seen.mixtures}) > 15


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 7])
@pytest.mark.parametrize("kind", [DataLoader, StatefulDataLoader])
def test_resumed_run_equals_uninterrupted_one(kind, stop, workers) -> None:
    online = make(steps=16)
    loader = kind(online.dataset, batch_size=3, num_workers=workers, prefetch_factor=4 if workers else None)
    seen = train(online, loader, stop)
    saved = json.loads(json.dumps(online.state_dict()))
    loader_state = loader.state_dict() if kind is StatefulDataLoader else None
    online.close()

    resumed = make(steps=16)
    resumed.load_state_dict(saved)
    loader = kind(resumed.dataset, batch_size=3, num_workers=workers)
    if loader_state:
        loader.load_state_dict(loader_state)
    train(resumed, loader, 16 - stop, seen)
    expected, _ = reference(16)
    assert (seen.mixtures, seen.items) == (expected.mixtures, expected.items)
    assert list(loader) == []  # after `steps`


def test_ado_resumes_with_its_laws() -> None:
    options = {"warmup": 4, "skip": 0, "refit_interval": 4, "min_points": 3, "adopt_after": 1}
    online, resumed = (make("ado", options=options, steps=20) for _ in range(2))
    seen = train(online, DataLoader(online.dataset, batch_size=3), 10)
    resumed.load_state_dict(json.loads(json.dumps(online.state_dict())))
    expected, found = (train(one, DataLoader(one.dataset, batch_size=3), 10) for one in (online, resumed))
    assert found == expected
    assert resumed.state_dict() == online.state_dict()
    assert len(online.policy.refits) >= 3
    assert len({tuple(mixture) for mixture in seen.mixtures + found.mixtures}) > 3


def test_another_number_of_workers_takes_over() -> None:
    online = make()
    seen = train(online, DataLoader(online.dataset, batch_size=3, num_workers=2, prefetch_factor=3), 4)
    online.close()
    resumed = make()
    resumed.load_state_dict(online.state_dict())
    train(resumed, DataLoader(resumed.dataset, batch_size=3), 5, seen)
    assert seen == reference(9)[0]


def test_a_new_pass_goes_on_where_training_stands() -> None:
    online = make()
    loader = DataLoader(online.dataset, batch_size=3, num_workers=1, persistent_workers=True)
    seen = train(online, loader, 3)
    train(online, loader, 3, seen)
    online.close()
    assert seen == reference(6)[0]


def test_shares_of_all_processes_make_up_each_step() -> None:
    # What rank 0 and rank 1 read of the same plans.
    online = make(batch_size=2, accumulate=3)
    whole = [online.dataset.plan_of(batch) for batch in range(3)]
    shares = [
        MixtureStream(online.dataset.datasets, online._board, 1, 3, None, rank, 2).plan_of(batch)
        for batch in range(3)
        for rank in range(2)
    ]
    for part in range(2):
        assert np.concatenate([p[part] for p in whole]).tolist() == np.concatenate([p[part] for p in shares]).tolist()


def test_items_that_are_no_mappings_come_in_pairs() -> None:
    online = OnlineMixture({"a": [10, 11], "b": [20, 21]}, "static", batch_size=4)
    items, domains = next(iter(DataLoader(online.dataset, batch_size=4)))
    assert [item // 10 - 1 for item in items.tolist()] == domains.tolist()


def test_policy_by_name_starts_from_the_shares_of_all_items() -> None:
    online = make("odm")
    assert online.mixture == Mixture.normalised(LENGTHS)
    prior = Mixture.from_dict({"code": 0.25, "web": 0.75})
    assert make("odm", prior=prior).mixture.to_dict() == {"web": 0.75, "code": 0.25, "maths": 0.0}


def test_policy_by_name_knows_the_length_of_the_run() -> None:
    # 2 % of 100 steps, and of 2,000, are the warm-up on the prior; two steps later the first losses count.
    for options, moved in ((None, 4), ({"total_steps": 2000}, None)):
        online = make("odm", options=options, steps=100)
        seen = train(online, DataLoader(online.dataset, batch_size=3), 10)
        changes = [step for step, mixture in enumerate(seen.mixtures) if mixture != seen.mixtures[0]]
        assert (changes[0] if changes else None) == moved


def test_epochs_count_what_training_has_consumed() -> None:
    online = make("static")
    assert set(online.epochs.values()) == {0.0}
    train(online, DataLoader(online.dataset, batch_size=3), 5)
    consumed = [epochs * LENGTHS[name] for name, epochs in online.epochs.items()]
    assert sum(consumed) == pytest.approx(30)


def test_a_domain_without_a_number_leaves_the_others_theirs() -> None:
    online = make(batch_size=6, accumulate=1)
    batch = next(iter(DataLoader(online.dataset, batch_size=6)))
    sums = torch.where(batch["d"] == 1, torch.nan, 8.0)
    online.observe(sums, torch.full((6,), 4), batch["domain_id"])
    assert np.array_equal(online.step().losses, [2.0, np.nan, 2.0], equal_nan=True)


class TestBadInput:
    def test_step_before_all_batches(self) -> None:
        online = make()
        batch = next(iter(DataLoader(online.dataset, batch_size=3)))
        online.observe(losses_of(batch), batch["i"], batch["domain_id"])
        with pytest.raises(DataError, match="6 sequences in step 0, observed 3"):
            online.step()

    def test_step_forgotten(self) -> None:
        online = make()
        batches = iter(DataLoader(online.dataset, batch_size=3))
        for _ in range(2):
            batch = next(batches)
            online.observe(losses_of(batch), batch["i"], batch["domain_id"])
        batch = next(batches)
        with pytest.raises(DataError, match=r"6 sequences .*step\(\), observed 9"):
            online.observe(losses_of(batch), batch["i"], batch["domain_id"])

    def test_loader_runs_on_without_steps(self) -> None:
        online = make()
        with pytest.raises(DataError, match=r"step 2 .*step 0 is still"):
            list(DataLoader(online.dataset, batch_size=3))

    def test_a_waiting_worker_says_for_what(self, monkeypatch, caplog) -> None:
        online = make()
        monkeypatch.setattr(stream, "_PATIENCE_SECONDS", 0.0)
        monkeypatch.setattr(stream, "get_worker_info", object)
        monkeypatch.setattr(stream.time, "sleep", lambda seconds: online.close())
        assert online.dataset.plan_of(5) is None
        assert "a worker waits for step 2: is step() called" in caplog.text

    def test_wrong_domain_ids(self) -> None:
        online = make(batch_size=6, accumulate=1)
        batch = next(iter(DataLoader(online.dataset, batch_size=6)))
        online.observe(losses_of(batch), batch["i"], torch.full((6,), 7))
        with pytest.raises(DataError, match=r"step 0 drew \[2, 2, 2\] .*observed"):
            online.step()

    @pytest.mark.parametrize(
        ("losses", "ids"), [((3, 4), (3,)), ((2,), (3,)), ((), ()), ((3,), None)], ids=["2-D", "few", "none", "floats"]
    )
    def test_wrong_shapes(self, losses, ids) -> None:
        ids = torch.zeros(3) if ids is None else torch.zeros(ids, dtype=torch.int64)
        with pytest.raises(DataError, match="domain_ids of one shape"):
            make().observe(torch.zeros(losses), torch.zeros(losses), ids)

    def test_policy_of_other_domains(self) -> None:
        with pytest.raises(ConfigError, match=r"3 domains \(web, code, maths\), found"):
            make(Following(4))

    def test_options_of_a_made_policy(self) -> None:
        with pytest.raises(ConfigError, match=r"prior and options .*name"):
            make(Following(), options={"preset": "paper"})

    def test_a_policy_that_weighs_losses(self) -> None:
        with pytest.raises(ConfigError, match=r"found group_dro.*reference"):
            make("group_dro")

    def test_unknown_policy_and_domain(self) -> None:
        with pytest.raises(ConfigError, match=r"expected ado .*found 'adoo'"):
            make("adoo")
        with pytest.raises(ConfigError, match="unknown domain 'news'"):
            make("static", prior=Mixture.uniform(["web", "news"]))

    def test_dataset_without_a_length(self) -> None:
        with pytest.raises(ConfigError, match=r"domain 'b': .*found generator"):
            OnlineMixture({"a": [1], "b": (i for i in range(3))}, "static", batch_size=1)

    @pytest.mark.parametrize("name", ["batch_size", "accumulate"])
    def test_numbers_below_one(self, name) -> None:
        with pytest.raises(ConfigError, match=f"{name}: expected at least 1, found 0"):
            make(**{name: 0})

    def test_item_with_a_domain_id_of_its_own(self) -> None:
        online = OnlineMixture({"a": [{"domain_id": 3}]}, "static", batch_size=1)
        with pytest.raises(DataError, match=r"'domain_id' .*rename"):
            next(iter(online.dataset))

    def test_state_of_another_policy_domains_or_seed(self) -> None:
        state = make().state_dict()
        with pytest.raises(ConfigError, match=r"policy Following, .*Odm"):
            make(Odm(Mixture.uniform(LENGTHS))).load_state_dict(state)
        with pytest.raises(ConfigError, match=r"saved state .*domains"):
            OnlineMixture({"a": [1], "b": [1], "c": [1]}, Following(), batch_size=1).load_state_dict(state)
        with pytest.raises(DataError, match="another seed, other data"):
            make(seed=6).load_state_dict(state)

    def test_loader_state_of_another_step(self) -> None:
        online = make()
        loader = StatefulDataLoader(online.dataset, batch_size=3)
        train(online, loader, 3)
        other = StatefulDataLoader(make().dataset, batch_size=3)
        other.load_state_dict(loader.state_dict())
        with pytest.raises(DataError, match="at step 3, the mixture at 0"):
            next(iter(other))

    def test_old_iterator_after_loading(self) -> None:
        online = make()
        batches = iter(DataLoader(online.dataset, batch_size=3))
        next(batches)
        later = make()
        train(later, DataLoader(later.dataset, batch_size=3), 5)
        online.load_state_dict(later.state_dict())
        with pytest.raises(DataError, match="at step 0, training at step 5"):
            list(batches)


STEPS = 9


def _run(batch_size: int, accumulate: int, seed: int = 5) -> tuple[OnlineMixture, DataLoader]:
    online = OnlineMixture(numbered(), Following(), batch_size=batch_size, accumulate=accumulate, seed=seed)
    return online, DataLoader(online.dataset, batch_size=batch_size)


def _process() -> tuple[object, ...]:
    online, loader = _run(2, 3)
    seen = train(online, loader, 4)
    saved = online.state_dict()
    online, loader = _run(2, 3)
    online.load_state_dict(saved)
    train(online, loader, STEPS - 4, seen)
    apart = _run(1, 1, seed=distributed.get_rank())
    try:
        train(*apart, 1)
        refused = ""
    except DataError as error:
        refused = str(error)
    return seen, online.policy.told, online.state_dict(), refused


@pytest.mark.slow
def test_two_processes_are_as_one(pair) -> None:
    first, second = pair(_process)
    online, loader = _run(4, 3)
    alone = train(online, loader, STEPS)

    assert first[0].mixtures == second[0].mixtures == alone.mixtures
    assert first[2] == second[2] == online.state_dict()
    for step in range(STEPS):
        both = sorted(first[0].items[step] + second[0].items[step])
        assert both == sorted(alone.items[step])
    assert repr(first[1]) == repr(second[1])  # NaN and all, and from the resumption on
    assert repr(first[1]) == repr(online.policy.told[4:])
    assert first[3] == second[3]
    assert "the processes drew different sequences for step 0; give all of them the same seed" in first[3]
