from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from mixopt.data.manifest import Manifest
from mixopt.data.prepare import prepare
from mixopt.data.tokenizer import (
    END_OF_TEXT,
    MASK_TOKEN,
    Vocabulary,
    bpe_vocabulary,
    give_mask_token,
    identity,
    load_tokenizer,
    token_dtype,
    train_bpe,
)
from mixopt.errors import DataError
from tests.corpus import documents, write_text

if TYPE_CHECKING:
    from pathlib import Path


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


WORDPIECE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.()", "la", "##la"]
WORDPIECE += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]


def bert_data(folder: Path) -> Path:
    """A little data prepared with a tokenizer of BERT's kind, which has no end-of-text token of its own."""
    from transformers import BertTokenizer

    BertTokenizer(vocab={token: index for index, token in enumerate(WORDPIECE)}).save_pretrained(folder / "bert")
    prepare(write_text(folder / "text", 12, domains=("words",)), str(folder / "bert"), folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_data(tmp_path_factory.mktemp("wordpiece"))


def test_a_trained_bpe_gets_a_mask_token_after_its_own(data_dir: Path) -> None:
    manifest = Manifest.load(data_dir)
    vocabulary = Vocabulary.of_data(data_dir, manifest)
    assert (vocabulary.mask_id, vocabulary.rows) == (300, 301)
    assert vocabulary.ordinary.tolist() == [index for index in range(300) if index != manifest.eot_id]
    assert np.flatnonzero(vocabulary.is_special).tolist() == [manifest.eot_id, 300]


def test_a_kept_tokenizer_names_the_mask_token_at_the_same_id(data_dir: Path, tmp_path: Path) -> None:
    load_tokenizer(str(data_dir / "tokenizer")).save(tmp_path)
    give_mask_token(tmp_path)
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == (MASK_TOKEN, 300)
    assert tokenizer(f"12 + {MASK_TOKEN} = 20").input_ids.count(300) == 1


def test_a_bert_tokenizer_has_its_own_and_ends_documents_with_its_separator(wordpiece: Path) -> None:
    manifest = Manifest.load(wordpiece)
    vocabulary = Vocabulary.of_data(wordpiece, manifest)
    assert manifest.eot_id == WORDPIECE.index("[SEP]")
    assert (vocabulary.mask_id, vocabulary.rows) == (WORDPIECE.index("[MASK]"), len(WORDPIECE))
    assert vocabulary.ordinary.tolist() == list(range(5, len(WORDPIECE)))
    before = (wordpiece / "tokenizer" / "tokenizer.json").read_text()
    give_mask_token(wordpiece / "tokenizer")
    assert (wordpiece / "tokenizer" / "tokenizer.json").read_text() == before


def test_words_of_wordpiece_begin_where_no_token_goes_on(wordpiece: Path) -> None:
    begins, ends = Vocabulary.of_data(wordpiece, Manifest.load(wordpiece)).word_bounds()
    assert [WORDPIECE[index] for index in np.flatnonzero(~begins)] == [t for t in WORDPIECE if t.startswith("##")]
    assert np.flatnonzero(ends).tolist() == [0, 1, 2, 3, 4]  # the special ones


def test_words_of_byte_level_bpe_begin_at_blanks(data_dir: Path) -> None:
    vocabulary = Vocabulary.of_data(data_dir, Manifest.load(data_dir))
    tokenizer = load_tokenizer(str(data_dir / "tokenizer"))
    begins, ends = vocabulary.word_bounds()
    for index in vocabulary.ordinary:
        text = tokenizer.decode([int(index)])
        assert begins[index] == (text[0] in " \n\t\r")
        assert ends[index] == (text[-1] in " \n\t\r")


def test_other_tokenizers_do_not_tell_where_words_begin(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), *((letter, -2.0) for letter in "abcd")], 0))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.add_special_tokens([AddedToken("</s>")])
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>").save_pretrained(tmp_path / "unigram")
    prepare(write_text(tmp_path / "text", 8, domains=("words",)), str(tmp_path / "unigram"), tmp_path / "data")
    vocabulary = Vocabulary.of_data(tmp_path / "data", Manifest.load(tmp_path / "data"))
    with pytest.raises(DataError, match=r"training\.whole_word: .* Unigram"):
        vocabulary.word_bounds()


def test_a_tokenizer_that_is_gone_is_named(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"tokenizer cannot be read .*prepare"):
        Vocabulary.of_data(tmp_path, Manifest.load(data_dir))
