import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.data.tokenizer import train_bpe
from mixopt.data.write import split_long
from tests.corpus import documents


@given(text=st.text(st.sampled_from("ab \n.")), most=st.integers(1, 20))
def test_pieces_join_to_the_text_and_are_short(text, most):
    pieces = split_long(text, most)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 2 * most


def test_short_text_stays_whole():
    assert split_long("one two", 7) == ["one two"]
    assert split_long("") == [""]


@pytest.mark.parametrize("most", [50, 333])
def test_cutting_between_words_does_not_change_the_tokens(most):
    tokenizer = train_bpe(documents("words", 20), 350)
    text = "\n".join([*documents("words", 20), *documents("arithmetic", 20)])
    (whole,) = tokenizer.encode([text])
    pieces = tokenizer.encode(split_long(text, most))
    assert len(pieces) > 10
    assert [token for piece in pieces for token in piece] == whole.tolist()
