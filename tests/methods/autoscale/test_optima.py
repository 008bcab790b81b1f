"""AutoScale from optima in a file: the paper's example, and every mistake that such a file can hold."""

from __future__ import annotations

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.methods.autoscale.optima import extrapolate_optima, read_optima

EXAMPLE = "tokens,w.a,w.b\n200,0.5,0.5\n500,0.6,0.4\n"


@pytest.fixture
def optima(tmp_path):
    def read(text):
        path = tmp_path / "optima.csv"
        path.write_text(text)
        return read_optima(path)

    return read


def test_the_papers_example_at_its_own_totals(optima):
    found = extrapolate_optima(optima(EXAMPLE)[0], 1300)
    np.testing.assert_allclose(found.mixture.array * 1300, [900, 400], rtol=1e-12)
    assert found.intervals == {}
    assert found.predicted == {}
    assert found.evidence.geometric.steps == pytest.approx(1)
    assert found.evidence.geometric.factors == pytest.approx({"a": 3, "b": 2})
    assert found.evidence.path.domains["a"].weights[-1] == pytest.approx(9 / 13)


def test_rows_in_any_order_counts_with_suffixes_and_other_columns(optima):
    found, notes = optima("note,tokens,w.a,w.b\nlate,0.5k,0.6,0.4\nearly,200,0.5,0.5\n")
    assert found.totals == (200, 500)
    assert found.weights.tolist() == [[0.5, 0.5], [0.6, 0.4]]
    assert notes == []


def test_rounded_weights_are_divided_by_their_sum_and_the_reader_is_told(optima):
    found, notes = optima("tokens,w.a,w.b\n200,0.501,0.5\n500,0.6,0.4\n")
    assert found.weights.sum(axis=1) == pytest.approx([1, 1])
    assert "1 of 2 rows are rounded" in notes[0]


def test_pinned_domains_keep_their_share(optima):
    text = "tokens,w.a,w.b,w.c\n1M,0.1,0.5,0.4\n4M,0.1,0.6,0.3\n"
    free = extrapolate_optima(optima(text)[0], 40_000_000)
    held = extrapolate_optima(optima(text)[0], 40_000_000, ["a"])
    assert held.mixture.to_dict()["a"] == pytest.approx(0.1)
    assert free.mixture.to_dict()["a"] < 0.099
    assert any("a (at a bound at 1M, 4M; held at 0.100)" in warning for warning in held.warnings)


def test_residuals_are_those_of_domains_with_a_line(optima):
    text = "tokens,w.a,w.b,w.c\n1M,0.1,0.5,0.4\n4M,0.2,0.55,0.25\n8M,0.1,0.6,0.3\n"
    found = extrapolate_optima(optima(text)[0], 40_000_000, ["a"]).evidence.geometric
    off = [row[domain] for row in found.residuals for domain in "bc"]
    assert max(map(abs, off)) > 0.01
    assert [row["a"] for row in found.residuals] == [0, 0, 0]
    assert found.residual_rms == pytest.approx(np.sqrt(np.mean(np.square(off))))


def test_zero_and_shrinking_domains_are_warned_of(optima):
    found = extrapolate_optima(optima("tokens,w.a,w.b,w.c\n1M,0,0.5,0.5\n2M,0,0.2,0.8\n")[0], 4_000_000)
    assert any("a (0 at 1M, 2M; held at 0.000)" in warning for warning in found.warnings)
    assert any("shrink from scale to scale for b (x0.80 a step)" in warning for warning in found.warnings)
    assert found.mixture.to_dict()["a"] == 0


def test_three_scales_are_checked_by_holding_the_largest_out(optima):
    found = extrapolate_optima(optima(EXAMPLE + "1300,0.7,0.3\n")[0], 9700)
    held = found.evidence.holdout
    assert held.guesses["geometric"].distance == pytest.approx(0.7 - 9 / 13)
    assert held.guesses["nearest scale"].distance == pytest.approx(0.1)
    assert held.guesses["average"].distance == pytest.approx(0.15)
    assert held.predicted is None
    assert found.evidence.geometric.residual_rms > 0


def test_a_floor_holds_at_the_target(optima):
    found = extrapolate_optima(optima(EXAMPLE)[0], 681_700, floor=0.1)
    assert found.mixture.to_dict() == pytest.approx({"a": 0.9, "b": 0.1})
    assert any("at their floor: b (0.100)" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line for each scale, found none"),
        ("tokens,w.a,w.b\n", "found none"),
        ("total,w.a,w.b\n200,0.5,0.5\n500,0.6,0.4\n", "`tokens`, found total, w.a, w.b"),
        ("tokens,a,b\n200,0.5,0.5\n500,0.6,0.4\n", r"`w.<domain>` .*two domains"),
        ("tokens,w.a\n200,1\n500,1\n", r"`w.<domain>` .*two domains"),
        ("tokens,w.a,w.a\n200,0.5,0.5\n500,0.6,0.4\n", "column 'w.a' is there twice"),
        ("tokens,w.a,w.b\n200,0.5\n", "line 2: expected 3 cells, found 2"),
        ("tokens,w.a,w.b\n200,0.5,0.5\nmany,0.6,0.4\n", r"line 3: tokens: .*count"),
        ("tokens,w.a,w.b\n200,0.5,0.5\n500,0.6,much\n", r"line 3: column 'w.b': .*found 'much'"),
        ("tokens,w.a,w.b\n200,0.5,0.5\n500,1.4,-0.4\n", r"line 3: .*'b' .*at least 0"),
        ("tokens,w.a,w.b\n200,0.5,0.5\n500,0.6,0.6\n", r"line 3: .*sum to 1"),
        ("tokens,w.a,w.b\n200,0.5,0.5\n500,1,\n", r"optimum at 500 .*'b'"),
        ("tokens,w.a,w.b\n200,0.5,0.5\n200,0.6,0.4\n", r"line 3: 200 tokens .*line 2"),
        ("tokens,w.a,w.b\n200,0.5,0.5\n", r"two scales .*found 200"),
        ('tokens,w.a,w.b\n200,"0.5,0.5\n', "not CSV"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named(optima, text, message):
    with pytest.raises(ConfigError, match=message):
        optima(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_optima(tmp_path / "none.csv")


def test_unknown_pinned_domains_are_named(optima):
    with pytest.raises(ConfigError, match=r"--pinned: .*'c'; .*a, b"):
        extrapolate_optima(optima(EXAMPLE)[0], 1300, ["c"])
