"""What suits a model's size."""

from __future__ import annotations

import pytest

from mixopt.presets import suited


@pytest.mark.parametrize(
    ("parameters", "expected"), [(1e5, (3e-3, 1024)), (1.24e8, (6e-4, 524_288)), (7e9, (2e-4, 1_048_576))]
)
def test_larger_models_take_smaller_rates_and_larger_batches(parameters, expected):
    assert suited(parameters) == expected
