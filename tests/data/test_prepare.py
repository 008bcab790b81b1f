import json

import numpy as np
import pytest

from mixopt.data.manifest import Manifest
from mixopt.data.prepare import prepare
from mixopt.data.tokenizer import load_tokenizer
from mixopt.data.tokens import TokenData
from mixopt.errors import DataError
from tests.corpus import documents, write_text


@pytest.fixture
def text(tmp_path):
    """Three domains in three formats."""
    return write_text(tmp_path / "text", 40, domains=("chant", "words", "brackets"))


def write_jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def stored(folder, split, domain=0):
    """The documents in a token file."""
    manifest = Manifest.load(folder)
    tokenizer = load_tokenizer(str(folder / "tokenizer" / "tokenizer.json"))
    tokens = getattr(TokenData.open(folder), split)[domain]
    parts = np.split(tokens, np.flatnonzero(tokens == manifest.eot_id) + 1)
    assert len(parts.pop()) == 0  # every document ends with end-of-text
    return [tokenizer.decode(part[:-1]) for part in parts]


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "tokens").iterdir())}


def test_every_document_is_in_exactly_one_split_in_order(text, tmp_path):
    manifest = prepare(text, "bpe:300", tmp_path / "out")
    for index, entry in enumerate(manifest.domains):
        source = list(documents(entry.name, 40))
        train, validation = stored(tmp_path / "out", "train", index), stored(tmp_path / "out", "validation", index)
        held_out = set(validation)
        assert train == [document for document in source if document not in held_out]
        assert validation == [document for document in source if document in held_out]
        assert entry.train.documents == len(train)
        assert entry.train.bytes == sum(len(document.encode()) for document in train)
        assert entry.validation.bytes == sum(len(document.encode()) for document in validation)


def test_validation_keeps_to_share_and_bytes(text, tmp_path):
    whole = sum(len(document.encode()) for document in documents("words", 40))
    for share, most in ((0.05, 10**6), (0.3, 10**6), (0.5, 3000)):
        out = tmp_path / f"{share}"
        entry = prepare(text, "bpe:300", out, validation_share=share, validation_bytes=most).domains[1]
        budget = min(share * whole, most)
        longest = 910
        assert budget - longest < entry.validation.bytes <= budget


def test_validation_depends_on_content_not_on_order(tmp_path):
    texts = list(documents("words", 60))
    places = [write_jsonl(tmp_path / f"{n}.jsonl", part) for n, part in enumerate((texts, texts[::-1]))]
    for n, place in enumerate(places):
        prepare({"words": place}, "bpe:300", tmp_path / f"out{n}", validation_share=0.2)
    assert set(stored(tmp_path / "out0", "validation")) == set(stored(tmp_path / "out1", "validation"))


def test_copies_of_validation_documents_are_removed_everywhere(tmp_path):
    words, chant = list(documents("words", 40)), list(documents("chant", 40))
    # Each domain's texts twice, and the other's in between.
    sources = {
        "words": write_jsonl(tmp_path / "w.jsonl", [*words, *chant, *words]),
        "chant": write_jsonl(tmp_path / "c.jsonl", [*chant, *words, *chant]),
    }
    manifest = prepare(sources, "bpe:300", tmp_path / "out", validation_share=0.2)
    held_out = set()
    for index, entry in enumerate(manifest.domains):
        validation = stored(tmp_path / "out", "validation", index)
        assert len(set(validation)) == len(validation) == entry.validation.documents
        held_out |= set(validation)
    for index, entry in enumerate(manifest.domains):
        train = stored(tmp_path / "out", "train", index)
        assert not held_out & set(train)
        assert entry.duplicates_removed == 120 - len(train) - entry.validation.documents > 0
    # Repeated training documents are the user's own choice and stay.
    assert train.count(next(text for text in chant if text not in held_out)) == 2


@pytest.mark.slow
def test_a_domain_always_keeps_a_document_on_both_sides(tmp_path):
    source = write_jsonl(tmp_path / "a.jsonl", ["x" * 50_000, "y" * 60_000])
    entry = prepare({"a": source}, "bpe:300", tmp_path / "out").domains[0]
    assert (entry.train.documents, entry.validation.documents) == (1, 1)


def test_names_may_hold_anything_printable(tmp_path):
    names = ["Wikipedia (en)", "Wikipedia [en]", "数学", "a/b"]
    sources = {name: write_jsonl(tmp_path / f"{n}.jsonl", documents("words", 20, n)) for n, name in enumerate(names)}
    manifest = prepare(sources, "bpe:300", tmp_path / "out")
    assert manifest.domain_names == tuple(names)
    assert len(files(tmp_path / "out")) == 8


def test_vocabulary_beyond_uint16_is_stored_in_uint32(text, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<|endoftext|>": 0, "[unk]": 1, "la": 70_000}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    manifest = prepare({"chant": text["chant"]}, str(tmp_path / "tokenizer.json"), tmp_path / "out")
    assert (manifest.dtype, manifest.vocab_size) == ("uint32", 70_001)
    assert TokenData.open(tmp_path / "out").train[0].max() == 70_000


def test_same_request_again_does_nothing(text, tmp_path, capsys):
    manifest = prepare(text, "bpe:300", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert prepare(text, "bpe:300", tmp_path / "out", progress=True) == manifest
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert "already holds this data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": "bpe:310"}, "tokenizer .*bpe:300.* before"),
        ({"validation_share": 0.1}, "validation .* before"),
        ({"text_key": "content"}, "text key 'text' before"),
        ({"domains": 2}, "domains chant, words, brackets before, chant, words now"),
    ],
)
def test_another_request_does_not_overwrite(text, tmp_path, changes, message):
    prepare(text, "bpe:300", tmp_path / "out")
    before = files(tmp_path / "out")
    domains = dict(list(text.items())[: changes.pop("domains", 3)])
    with pytest.raises(DataError, match=message):
        prepare(domains, **{"tokenizer": "bpe:300", **changes}, out=tmp_path / "out")
    assert files(tmp_path / "out") == before


def test_changed_text_is_another_request(text, tmp_path):
    prepare(text, "bpe:300", tmp_path / "out")
    (text["chant"] / "00001.txt").write_text("something else")
    with pytest.raises(DataError, match="'chant' have changed"):
        prepare(text, "bpe:300", tmp_path / "out")


def test_foreign_folder_is_left_alone(text, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match="new or empty folder"):
        prepare(text, "bpe:300", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "found none"), (["same", "same"], "two different documents"), (["  ", "one"], "found one")],
)
def test_domain_without_two_documents_is_refused(tmp_path, texts, message):
    source = write_jsonl(tmp_path / "a.jsonl", texts)
    with pytest.raises(DataError, match=message):
        prepare({"tiny": source}, "bpe:300", tmp_path / "out")


def test_domain_left_without_training_documents_is_refused(tmp_path):
    # None fits the budget, so the shorter document of each is held out: "b" of a, which c has too.
    sources = {
        "first": write_jsonl(tmp_path / "a.jsonl", ["a" * 900, "b" * 800]),
        "second": write_jsonl(tmp_path / "b.jsonl", ["b" * 800, "c" * 700]),
    }
    with pytest.raises(DataError, match=r"'second': .*documents"):
        prepare(sources, "bpe:300", tmp_path / "out")


def test_bad_line_is_named_with_its_domain(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n{"text"\n')
    with pytest.raises(DataError, match=r"'web': .*bad.jsonl, line 2"):
        prepare({"web": path}, "bpe:300", tmp_path / "out")


def test_a_tokenizer_that_is_not_there_does_not_claim_the_folder(text, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        prepare(text, str(tmp_path / "nowhere.json"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
