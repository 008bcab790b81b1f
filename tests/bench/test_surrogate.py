"""Tables from a user's own function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.bench.surrogate import parse_domains, parse_scales, surrogate_table
from mixopt.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SCALES = [(10_000_000, 1_000_000_000), (1_000_000, 200_000_000)]


def law(weights: np.ndarray, parameters: int, tokens: int) -> np.ndarray:
    return 1 + (weights + 0.1) ** -0.3 + parameters**-0.1 + tokens**-0.1


def test_losses_are_the_functions_own_cheapest_first() -> None:
    table = surrogate_table(law, ("a", "b", "c"), SCALES, pool=20)
    assert [fidelity.parameters for fidelity in table.fidelities] == [1_000_000, 10_000_000]
    np.testing.assert_array_equal(table.losses[1], law(table.mixtures, *SCALES[0]))
    np.testing.assert_array_equal(table.losses[0], law(table.mixtures, *SCALES[1]))
    assert table.eval_domains == ("a", "b", "c")
    assert table.curves


def test_one_loss_may_be_a_plain_vector() -> None:
    table = surrogate_table(lambda w, *_: w[:, 0] + 1, ("a", "b"), SCALES, pool=20)
    assert table.losses.shape == (2, 20, 1)
    assert table.eval_domains == ("loss_1",)


def test_a_function_of_a_file_beside_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_law.py").write_text("def f(w, n, d):\n    return 1 + w\n")
    monkeypatch.chdir(tmp_path)
    assert surrogate_table("my_law:f", ("a", "b"), SCALES, pool=5).name == "my_law:f"


def growing(weights: np.ndarray, parameters: int, tokens: int) -> np.ndarray:
    return weights if parameters > 1_000_000 else weights[:, :1]


def failing(weights: np.ndarray, parameters: int, tokens: int) -> np.ndarray:
    raise KeyError("size")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda w, *_: w[:5], r"at 10M x 1B: .*found \(5, 2\)"),
        (lambda *_: 3.0, r"found \(\)"),
        (lambda w, *_: w[:, :, None], r"found \(20, 2, 1\)"),
        (lambda w, *_: w[:, :0], r"found \(20, 0\)"),
        (growing, "every scale, found 1, 2"),
        (lambda w, *_: np.log(w - 0.5 > 0), "loss 1 of mixture .* -inf"),
        (lambda w, *_: w * np.nan, "is nan; expected a number"),
        (failing, "it raised KeyError: 'size'"),
        ("nowhere_at_all:f", "module nowhere_at_all cannot be imported"),
        ("math:nothing", "module math has no nothing"),
        ("math", "module:function.*'math'"),
        ("math:pi", "'math:pi' is no function"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_functions_that_are_refused(function, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        surrogate_table(function, ("a", "b"), SCALES, pool=20)


@pytest.mark.parametrize(("domains", "pool"), [(("a",), 20), (("a", "a"), 20), (("a", "b"), 1)])
def test_pools_that_are_refused(domains: tuple[str, ...], pool: int) -> None:
    with pytest.raises(ConfigError, match=r"expected (two or more different domains|a pool of two)"):
        surrogate_table(law, domains, SCALES, pool=pool)


def test_scales_and_domains_are_written_as_people_do() -> None:
    assert parse_scales("1Mx200M, 60M x 1B") == [(1_000_000, 200_000_000), (60_000_000, 1_000_000_000)]
    assert parse_domains("web, code") == ("web", "code")
    assert parse_domains("3") == ("domain_1", "domain_2", "domain_3")


@pytest.mark.parametrize("text", ["1M", "1M,2M", "1M*3B", "xx1B"])
def test_scales_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="fidelities: "):
        parse_scales(text)
