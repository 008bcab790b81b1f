"""Masks: how many, what becomes of them, whole words, and that they depend on their keys alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mixopt.data.tokenizer import Vocabulary
from mixopt.train.masking import IGNORED, Masking, sequence_keys, stream_key

if TYPE_CHECKING:
    from mixopt.train.masking import Masked

# 0 ends a text, 1 … 20 begin words, 21 … 50 go on with them, 51 is the mask token.
END, MASK, ROWS = 0, 51, 52


class Words(Vocabulary):
    def word_bounds(self):
        begins = np.arange(ROWS) <= 20
        return begins, self.is_special.copy()


VOCABULARY = Words(MASK, ROWS, np.arange(1, MASK), np.isin(np.arange(ROWS), (END, MASK)), {})


def draw(count: int, length: int, seed: int = 0, ends: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random((count, length)) < ends, END, rng.integers(1, MASK, (count, length)))


def keys(count: int, *stream: object) -> np.ndarray:
    return sequence_keys(np.full(count, stream_key(*stream or ("test",))), np.arange(count))


def restored(tokens: np.ndarray, masked: Masked) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with the targets put back, and where targets are."""
    inputs, chosen = masked.inputs.copy(), np.zeros(tokens.shape, dtype=bool)
    rows, columns = np.nonzero(masked.targets != IGNORED)
    chosen[rows, masked.positions[rows, columns]] = True
    inputs[rows, masked.positions[rows, columns]] = masked.targets[rows, columns]
    return inputs, chosen


@pytest.mark.parametrize("whole_word", [False, True])
@given(st.integers(1, 6), st.integers(2, 60), st.integers(0, 99), st.sampled_from([0.0, 0.1, 0.9, 1.0]))
def test_targets_are_the_tokens_that_were_there_and_nothing_else_changes(whole_word, count, length, seed, ends):
    tokens = draw(count, length, seed, ends)
    masking = Masking(VOCABULARY, length, whole_word=whole_word)
    masked = masking(tokens, keys(count))
    back, chosen = restored(tokens, masked)
    assert np.array_equal(back, tokens)
    assert not chosen[tokens == END].any()
    assert masked.targets.shape == masked.positions.shape == (count, masking.most)
    assert (masked.positions[masked.targets == IGNORED] == 0).all()
    assert not (masked.inputs[chosen] == END).any()
    assert (chosen.sum(axis=1) == (masked.targets != IGNORED).sum(axis=1)).all()
    if not whole_word:
        ordinary = (tokens != END).sum(axis=1)
        assert (chosen.sum(axis=1) == np.minimum(ordinary, masking.most)).all()


def test_fifteen_per_cent_are_masked_eighty_ten_ten():
    tokens = draw(4000, 100, ends=0.0)
    masked = Masking(VOCABULARY, 100, whole_word=False)(tokens, keys(4000))
    _, chosen = restored(tokens, masked)
    assert (chosen.sum(axis=1) == 15).all()
    became = masked.inputs[chosen]
    was = tokens[chosen]
    # A random token is the one that was there once in fifty.
    same = 0.1 + 0.1 / 50
    counts = [(became == MASK).sum(), ((became != MASK) & (became != was)).sum(), (became == was).sum()]
    assert stats.chisquare(counts, np.array([0.8, 0.2 - same, same]) * len(was)).pvalue > 1e-3
    drawn = np.bincount(became[(became != MASK) & (became != was)], minlength=ROWS)
    assert drawn[[END, MASK]].tolist() == [0, 0]
    assert stats.chisquare(drawn[1:MASK]).pvalue > 1e-3
    assert stats.chisquare(chosen.sum(axis=0)).pvalue > 1e-3  # every position alike
    pairs = (chosen[:, :-1] & chosen[:, 1:]).sum()
    assert pairs == pytest.approx(4000 * 99 * (15 * 14) / (100 * 99), rel=0.03)  # and neighbours apart


def test_whole_words_are_masked_whole_and_about_as_many_tokens():
    tokens = draw(500, 100)
    masking = Masking(VOCABULARY, 100, whole_word=True)
    _, chosen = restored(tokens, masking(tokens, keys(500)))
    begins = (tokens <= 20) | (np.roll(tokens, 1, axis=1) == END)
    begins[:, 0] = True
    for row in range(500):
        words = np.split(chosen[row], np.flatnonzero(begins[row])[1:])
        assert all(word.all() or not word.any() for word in words)
    assert chosen.sum(axis=1).max() <= masking.most
    assert chosen.sum() == pytest.approx(500 * masking.most, rel=0.02)
    lengths = [len(word) for row in range(500) for word in np.split(chosen[row], np.flatnonzero(begins[row])[1:])
               if word.any()]  # fmt: skip
    assert max(lengths) > 4


def test_a_word_too_long_to_fit_is_passed_over():
    tokens = np.array([[1, *[30] * 15, 2, 31, 3, 4]])  # of 20 tokens 3 are masked
    for number in range(50):
        _, chosen = restored(tokens, Masking(VOCABULARY, 20, whole_word=True)(tokens, keys(number + 1)[-1:]))
        assert not chosen[0, :16].any()
        assert 2 <= chosen.sum() <= 3


@given(st.permutations(range(7)), st.integers(1, 6))
def test_a_mask_depends_on_its_key_and_not_on_its_batch(order, cut):
    tokens, named = draw(7, 40), keys(7)
    masking = Masking(VOCABULARY, 40, whole_word=False)
    whole = masking(tokens, named)
    shuffled = masking(tokens[order], named[order])
    assert np.array_equal(shuffled.inputs, whole.inputs[order])
    parts = [masking(tokens[part], named[part]) for part in (slice(None, cut), slice(cut, None))]
    assert np.array_equal(np.concatenate([part.positions for part in parts]), whole.positions)


def test_streams_and_numbers_give_masks_that_have_nothing_in_common():
    tokens = np.repeat(draw(1, 200, ends=0.0), 400, axis=0)
    masking = Masking(VOCABULARY, 200, whole_word=False)
    one, other = (restored(tokens, masking(tokens, keys(400, name)))[1] for name in ("one", "other"))
    # Two independent choices of 30 in 200 share 4.5.
    for shared in ((one & other).sum(axis=1), (one[1:] & one[:-1]).sum(axis=1)):
        assert shared.mean() == pytest.approx(4.5, abs=0.4)


def test_masks_do_not_change_between_versions():
    """Runs of the table rest on them: if this fails, masks must go back or `NUMERICS` up."""
    tokens = np.arange(1, 41)[None]
    masked = Masking(VOCABULARY, 40, whole_word=False)(tokens, keys(1, "mask", 3, "code"))
    assert masked.positions.tolist() == [[12, 20, 28, 32, 34, 35]]
    assert masked.inputs[0, masked.positions[0]].tolist() == [51, 51, 29, 51, 51, 31]
