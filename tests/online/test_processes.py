"""Two processes draw, observe and decide as one does."""

from __future__ import annotations

import pytest
from torch import distributed
from torch.utils.data import DataLoader

from mixopt.errors import DataError
from mixopt.online import OnlineMixture
from tests.online.problems import Following, numbered, train

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
