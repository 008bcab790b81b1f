"""Loss curves by domain as training goes on: what the laws are fitted to. Each step costs the same.

Symbols: K domains, T points. n counts samples over all domains. Losses are nats/token; a domain that a step did not
draw, or whose loss was no number, has NaN and 0 tokens there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mixopt.arrays import Floats, Ints, pack, unpack

if TYPE_CHECKING:
    from mixopt.policy.ado_settings import AdoSettings

# The published code's smoothing: scipy.signal.savgol_filter(losses, 101, 3).
WINDOW, _ORDER = 101, 3
_BUFFER = 1024


class Points(NamedTuple):
    """Points of K curves."""

    samples: Floats  # (T,) n
    losses: Floats  # (K, T), NaN where the weight is 0
    weights: Floats  # (K, T)


def make_curve(settings: AdoSettings, domains: int) -> SampledCurve | BinnedCurve:
    """The curve that the settings name."""
    if settings.curve == "binned":
        return BinnedCurve(domains, settings.skip, settings.stride, settings.max_points)
    kind = SmoothedCurve if settings.curve == "smoothed" else SampledCurve
    return kind(domains, settings.skip, settings.stride)


class SampledCurve:
    """The losses of every `stride`-th step from `skip` on (Jiang et al. 2024, appendix A.1)."""

    def __init__(self, domains: int, skip: int, stride: int) -> None:
        self._domains, self._skip, self._stride = domains, skip, stride
        self._samples: list[float] = []
        self._losses: list[Floats] = []

    def _is_point(self, step: int) -> bool:
        return step >= self._skip and (step - self._skip) % self._stride == 0

    def add(self, step: int, samples: float, loss_k: Floats, tokens_k: Ints) -> None:
        """Take in a step, n after it, losses (K,) and tokens (K,) by domain: kept if it is a point."""
        if self._is_point(step):
            self._samples.append(samples)
            self._losses.append(np.where(tokens_k > 0, loss_k, np.nan))

    def points(self) -> Points:
        """All points so far, of weight 1."""
        losses = _stacked(self._losses, self._domains).T
        return Points(np.array(self._samples), losses, np.isfinite(losses).astype(np.float64))

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"samples": pack(np.array(self._samples)), "losses": pack(_stacked(self._losses, self._domains))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse, exact."""
        self._samples, self._losses = unpack(state["samples"]).tolist(), list(unpack(state["losses"]))


class SmoothedCurve(SampledCurve):
    """The published code's: a Savitzky-Golay filter over all steps, then every `stride`-th from `skip` on.

    A domain that a step did not draw has the loss it had before; at first, the batch's mean. The filter
    is applied when its window is full, so that only the last 101 steps are kept and not all: inside, a smoothed
    value is a fixed combination of the window around it; the ends follow the cubic through the first and the last
    window.
    """

    def __init__(self, domains: int, skip: int, stride: int) -> None:
        super().__init__(domains, skip, stride)
        # The last rows, of K losses and n each: `_end` rows, moved to the front when the buffer is full.
        self._rows = np.empty((_BUFFER, domains + 1))
        self._end, self._step = 0, -1
        self._middle: Floats | None = None

    def add(self, step: int, samples: float, loss_k: Floats, tokens_k: Ints) -> None:
        """Take in a step, and smooth the step in the middle of the window that it completes."""
        seen = tokens_k > 0
        missing = self._rows[self._end - 1, :-1] if self._end else np.full(self._domains, np.nan)
        if seen.any() and np.isnan(missing).any():
            mean = (loss_k[seen] * tokens_k[seen]).sum() / tokens_k[seen].sum()
            missing = np.where(np.isnan(missing), mean, missing)
        if self._end == _BUFFER:
            self._rows[: WINDOW - 1] = self._rows[1 - WINDOW :]
            self._end = WINDOW - 1
        row = self._rows[self._end]
        row[:-1], row[-1] = np.where(seen, loss_k, missing), samples
        self._end, self._step = self._end + 1, step
        if step == WINDOW - 1:
            self._keep(range(WINDOW - 1, WINDOW // 2 - 1, -1))
        elif self._end >= WINDOW and self._is_point(step - WINDOW // 2):
            self._keep_middle()

    def _window(self) -> Floats:
        """(≤ 101, K + 1) the last rows."""
        return self._rows[max(0, self._end - WINDOW) : self._end]

    def _keep(self, steps_back: Iterable[int]) -> None:
        """Smooth the whole window, and keep those of the steps that are points."""
        from scipy.signal import savgol_filter

        window = self._window()
        # Steps before the first usable loss are NaN, which the filter refuses: no points around them.
        if np.isnan(window).any():
            return
        smooth = np.asarray(savgol_filter(window[:, :-1], WINDOW, _ORDER, axis=0))
        for back in steps_back:
            if self._is_point(self._step - back):
                self._samples.append(float(window[-1 - back, -1]))
                self._losses.append(smooth[-1 - back])

    def _keep_middle(self) -> None:
        if self._middle is None:
            from scipy.signal import savgol_coeffs

            self._middle = np.asarray(savgol_coeffs(WINDOW, _ORDER))
        window = self._window()
        self._samples.append(float(window[WINDOW // 2, -1]))
        # A copy, so that the product is the same wherever the window lies: bitwise equal after a resume.
        self._losses.append(self._middle @ window[:, :-1].copy())

    def points(self) -> Points:
        """All points so far, of weight 1; none before there are as many steps as the window has."""
        if self._end < WINDOW:
            return Points(np.empty(0), np.empty((self._domains, 0)), np.empty((self._domains, 0)))
        kept = len(self._samples)
        self._keep(range(WINDOW // 2 - 1, -1, -1))
        points = super().points()
        del self._samples[kept:], self._losses[kept:]
        return points

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**super().state_dict(), "window": pack(self._window()), "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse, exact."""
        super().load_state_dict(state)
        window, self._step = unpack(state["window"]), state["step"]
        self._end = len(window)
        self._rows[: self._end] = window


class BinnedCurve:
    """Means over `stride` steps, weighted by tokens: no step is thrown away, and no domain's loss is made up.

    Above `limit` points, neighbours merge in pairs and the bins are twice as long from then on.
    """

    def __init__(self, domains: int, skip: int, stride: int, limit: int) -> None:
        self._skip, self._stride, self._limit = skip, stride, limit
        # A row a bin: K sums of loss · tokens, K sums of tokens, the sum of n.
        self._rows: list[Floats] = []
        self._open = np.zeros(2 * domains + 1)
        self._count, self._domains = 0, domains

    def add(self, step: int, samples: float, loss_k: Floats, tokens_k: Ints) -> None:
        """Take a step into the open bin."""
        if step < self._skip:
            return
        k = self._domains
        self._open[:k] += np.where(tokens_k > 0, loss_k, 0.0) * tokens_k
        self._open[k : 2 * k] += tokens_k
        self._open[-1] += samples
        self._count += 1
        if self._count == self._stride:
            self._rows.append(self._open)
            self._open, self._count = np.zeros_like(self._open), 0
            if self._limit and len(self._rows) > self._limit:
                self._merge()

    def _merge(self) -> None:
        """Halve the number of bins; a last one without a neighbour is open again."""
        pairs = len(self._rows) // 2
        if len(self._rows) % 2:
            self._open, self._count = self._rows[-1], self._stride
        self._rows = [self._rows[2 * i] + self._rows[2 * i + 1] for i in range(pairs)]
        self._stride *= 2

    def points(self) -> Points:
        """The full bins, each domain's weighted by its tokens over their mean."""
        k = self._domains
        rows = _stacked(self._rows, 2 * k + 1)
        tokens = rows[:, k : 2 * k].T
        with np.errstate(invalid="ignore"):
            losses = rows[:, :k].T / tokens
        mean = tokens.mean(axis=1, keepdims=True) if len(rows) else np.ones((k, 1))
        return Points(rows[:, -1] / self._stride, losses, tokens / np.where(mean > 0, mean, 1.0))

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        rows = _stacked(self._rows, self._open.size)
        return {"rows": pack(rows), "open": pack(self._open), "count": self._count, "stride": self._stride}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse, exact."""
        self._rows, self._open = list(unpack(state["rows"])), unpack(state["open"])
        self._count, self._stride = state["count"], state["stride"]


def _stacked(rows: list[Floats], columns: int) -> Floats:
    return np.array(rows) if rows else np.empty((0, columns))
