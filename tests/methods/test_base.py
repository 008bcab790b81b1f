"""Histories say what is wrong with a run."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.history import History


def history(**changes: object) -> History:
    given = {
        "runs": ("one", "two"),
        "domains": ("code", "web"),
        "eval_domains": ("code", "web", "law"),
        "tokens_seen": np.array([[1.0, 3.0], [2.0, 2.0]]),
        "losses": np.full((2, 3), 2.0),
        "seeds": np.zeros(2, dtype=np.int64),
        "parameters": np.zeros(2, dtype=np.int64),
    }
    return History(**{**given, **changes})


def test_weights_are_shares_of_the_tokens_seen():
    np.testing.assert_allclose(history().weights, [[0.25, 0.75], [0.5, 0.5]])
    assert history().select(np.array([False, True])).runs == ("two",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": np.array([[2.0, 2, 2], [2, np.nan, 2]])}, r"run 'two': .*'web' of at least 0"),
        ({"losses": np.array([[2.0, 2, -1], [2, 2, 2]])}, r"run 'one': .*'law' .* found -1.0"),
        ({"tokens_seen": np.array([[1.0, 3], [np.inf, 2]])}, r"run 'two': .*'code' .* found inf"),
        ({"runs": ("one", "one")}, r"run 'one' .*more than once"),
        ({"seeds": np.zeros(3, dtype=np.int64)}, r"seeds .*\(2,\), found \(3,\)"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        history(**changes)
