import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.data.tokenizer import END_OF_TEXT, bpe_vocabulary, identity, load_tokenizer, token_dtype, train_bpe
from mixopt.errors import DataError
from tests.corpus import documents


@pytest.fixture(scope="module")
def bpe():
    return train_bpe([*documents("words", 40), *documents("chant", 40)], 400)


def test_trained_vocabulary_has_the_size_asked_for(bpe):
    assert bpe.vocab_size == 400
    assert bpe.label == "bpe:400"
    assert bpe.dtype == "uint16"


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_bytes_survive_a_round_trip(bpe, text):
    (ids,) = bpe.encode([text])
    assert bpe.decode(ids) == text


def test_training_is_deterministic(bpe):
    again = train_bpe([*documents("words", 40), *documents("chant", 40)], 400)
    assert again.hash == bpe.hash


def test_end_of_text_in_a_document_is_only_text(bpe):
    (ids,) = bpe.encode([f"before{END_OF_TEXT}after"])
    assert bpe.eot_id not in ids
    assert bpe.decode(ids) == f"before{END_OF_TEXT}after"


def test_saved_tokenizer_loads_as_the_same_from_file_and_folder(bpe, tmp_path):
    bpe.save(tmp_path)
    (text,) = documents("words", 1)
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = load_tokenizer(str(place))
        assert (loaded.hash, loaded.eot_id, loaded.vocab_size) == (bpe.hash, bpe.eot_id, bpe.vocab_size)
        assert np.array_equal(loaded.encode([text])[0], bpe.encode([text])[0])


def test_long_texts_are_neither_cut_nor_padded(bpe, tmp_path):
    bpe.fast.backend_tokenizer.enable_truncation(5)
    bpe.fast.backend_tokenizer.enable_padding(length=50)
    bpe.save(tmp_path)
    bpe.fast.backend_tokenizer.no_truncation()
    bpe.fast.backend_tokenizer.no_padding()
    loaded = load_tokenizer(str(tmp_path / "tokenizer.json"))
    texts = ["a", "la ho hey " * 50]
    assert [loaded.decode(ids) for ids in loaded.encode(texts)] == texts


def test_tokenizer_without_end_of_text_is_refused(tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="end-of-text"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/tokenizer.json"])
def test_tokenizer_that_is_not_there(name):
    with pytest.raises(DataError, match="no such file"):
        load_tokenizer(name)


def test_tokenizer_that_is_no_json(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match=r"expected a tokenizer\.json"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize("name", ["bpe:", "bpe:many", "bpe:256", "bpe:-5"])
def test_bpe_size_that_cannot_be(name):
    with pytest.raises(DataError, match="at least 257"):
        bpe_vocabulary(name)


def test_smallest_type_that_holds_the_vocabulary():
    assert [token_dtype(size, "t") for size in (2**16, 2**16 + 1, 2**32)] == ["uint16", "uint32", "uint32"]
    with pytest.raises(DataError, match=r"at most 2\^32"):
        token_dtype(2**32 + 1, "t")


def test_identity_is_the_content_of_a_file(bpe, tmp_path):
    bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    before = identity(str(path))
    path.write_text(path.read_text() + " ")
    assert identity(str(path)) != before
    assert identity("org/name") == "org/name"
