"""Fixtures for the search methods."""

from __future__ import annotations

import pytest

from tests.methods.world import World


@pytest.fixture
def world() -> World:
    """Four domains whose best mixture is known, without noise."""
    return World()
