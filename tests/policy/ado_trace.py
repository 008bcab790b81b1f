"""The inputs of the published selector's trace (tests/golden/ado_trace.json), by formula."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mixopt.mixture import Mixture

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "ado_trace.json").read_text())
PRIOR = Mixture(tuple("abcdef"), (0.45, 0.25, 0.15, 0.1, 0.046, 0.004))
STEPS = 3001
# Settings of the trace: laws first fitted after step 1,000, then every 1,000.
WARMUP = 1000
LAWS = {refit["step"]: np.array(refit["laws"]).T for refit in GOLDEN["refits"]}

_EPS = np.array([2.4, 1.9, 2.9, 1.7, 2.1, 2.6])
_ALPHA = np.array([0.3, 0.4, 0.2, 0.5, 0.35, 0.25])
_LOG_BETA = np.log([1.2, 0.8, 1, 0.5, 0.9, 1.1]) + _ALPHA * np.log(32000)
_EARLY, _LATE = np.array([450, 250, 150, 100, 46, 4]), np.array([350, 250, 150, 150, 90, 10])


def inputs(step):
    """Losses (6,), NaN where absent, and tokens (6,) of a batch of 64 samples; the last domain is mostly absent."""
    share = _EARLY if step < 1000 else _LATE
    counts = ((step + 1) * 64 * share) // 1000 - (step * 64 * share) // 1000
    counts[0] = 64 - counts[1:].sum()
    k = np.arange(6)
    wave = 1 + 0.02 * np.sin(0.7 * step + k) + 0.01 * np.sin(12.9898 * (step + 1) * (k + 1))
    losses = (_EPS + np.exp(_LOG_BETA - _ALPHA * np.log(64 * (step + 1)))) * wave
    return np.where(counts > 0, losses, np.nan), counts * 1024
