import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mixopt.data import manifest as manifest_module
from mixopt.data import prepare as prepare_module
from mixopt.data import write as write_module
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


@pytest.fixture
def small_batches(monkeypatch):
    """Many batches, each committed: every moment at which a call can be cut off."""
    monkeypatch.setattr(write_module, "_BATCH_CHARACTERS", 2000)
    monkeypatch.setattr(write_module, "COMMIT_SECONDS", 0)


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


def test_a_domain_always_keeps_a_document_on_both_sides(tmp_path):
    source = write_jsonl(tmp_path / "a.jsonl", ["x" * 50_000, "y" * 60_000])
    entry = prepare({"a": source}, "bpe:300", tmp_path / "out").domains[0]
    assert (entry.train.documents, entry.validation.documents) == (1, 1)


def test_names_may_hold_anything_printable(tmp_path):
    names = ["Wikipedia (en)", "Wikipedia [en]", "数学", "a/b"]
    sources = {
        name: write_jsonl(tmp_path / f"{n}.jsonl", documents("words", 20, n)) for n, name in enumerate(names)
    }
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
    with pytest.raises(DataError, match="the files of domain 'chant' have changed"):
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
    with pytest.raises(DataError, match="'second': expected documents to train on"):
        prepare(sources, "bpe:300", tmp_path / "out")


def test_bad_line_is_named_with_its_domain(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n{"text"\n')
    with pytest.raises(DataError, match=r"domain 'web': .*bad.jsonl, line 2: expected one JSON object"):
        prepare({"web": path}, "bpe:300", tmp_path / "out")


class Stop(Exception):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("moment", [0, 0.05, 0.1, 0.2, 0.5, 0.8, 1])
def test_cut_off_at_any_write_it_ends_with_the_same_bytes(text, tmp_path, small_batches, monkeypatch, moment):
    """Raise at a write of a small file (first: the request; then scans and progress; last: the manifest)."""
    calls, cut = 0, None
    write = prepare_module.write_atomic

    def cut_off(path, content):
        nonlocal calls
        if calls == cut:
            raise Stop
        calls += 1
        write(path, content)

    for module in (prepare_module, manifest_module):
        monkeypatch.setattr(module, "write_atomic", cut_off)
    unbroken = prepare(text, "bpe:300", tmp_path / "unbroken")
    calls, cut = 0, round(moment * (calls - 1))
    with pytest.raises(Stop):
        prepare(text, "bpe:300", tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    cut = None
    resumed = prepare(text, "bpe:300", tmp_path / "out")
    assert resumed == unbroken
    assert resumed.fingerprint == unbroken.fingerprint
    assert files(tmp_path / "out") == files(tmp_path / "unbroken")
    assert not (tmp_path / "out" / ".prepare").exists()


def test_kill_while_the_first_file_is_written(text, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "request.json.123.tmp").write_text("{")
    assert prepare(text, "bpe:300", tmp_path / "out") == Manifest.load(tmp_path / "out")


def test_resumed_work_is_not_done_again(text, tmp_path, small_batches, monkeypatch):
    encoded = []
    encode = write_module._encode

    def count(tokenizer, texts):
        encoded.extend(texts)
        if len(encoded) > 70:
            raise Stop
        return encode(tokenizer, texts)

    monkeypatch.setattr(write_module, "_encode", count)
    with pytest.raises(Stop):
        prepare(text, "bpe:300", tmp_path / "out")
    first = len(encoded)
    encoded.clear()
    monkeypatch.setattr(
        write_module, "_encode", lambda tokenizer, texts: encoded.extend(texts) or encode(tokenizer, texts)
    )
    prepare(text, "bpe:300", tmp_path / "out")
    assert 120 - first <= len(encoded) <= 120 - first + 10  # one batch at most is made anew


def test_bytes_beyond_the_last_commit_are_cut(text, tmp_path, small_batches, monkeypatch):
    unbroken = prepare(text, "bpe:300", tmp_path / "unbroken")
    replace = write_module._encode
    calls = []

    def stop_late(tokenizer, texts):
        calls.append(texts)
        if len(calls) == 12:
            raise Stop
        return replace(tokenizer, texts)

    monkeypatch.setattr(write_module, "_encode", stop_late)
    with pytest.raises(Stop):
        prepare(text, "bpe:300", tmp_path / "out")
    for path in (tmp_path / "out" / "tokens").iterdir():
        with path.open("ab") as file:
            file.write(b"half a batch that no commit knows of")
    monkeypatch.undo()
    assert prepare(text, "bpe:300", tmp_path / "out").fingerprint == unbroken.fingerprint


def test_full_disk_is_one_line_and_can_be_continued(text, tmp_path, small_batches, monkeypatch):
    calls = []
    fsync = os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"disk is full.*run the same command"):
        prepare(text, "bpe:300", tmp_path / "out")
    unbroken = prepare(text, "bpe:300", tmp_path / "unbroken")
    assert prepare(text, "bpe:300", tmp_path / "out").fingerprint == unbroken.fingerprint


def test_two_at_once_do_not_mix(text, tmp_path):
    out = tmp_path / "out"
    request = prepare_module.PrepareRequest(
        domains={name: str(path) for name, path in text.items()}, tokenizer="bpe:300", out=str(out)
    )
    prepare_module._claim(out, request)
    with prepare_module._locked(out), pytest.raises(DataError, match="another process"):
        prepare(text, "bpe:300", out)
    assert prepare(text, "bpe:300", out) == Manifest.load(out)


_CHILD = """
import sys
from mixopt.data import write
from mixopt.data.prepare import prepare
write._BATCH_CHARACTERS, write.COMMIT_SECONDS = 2000, 0
prepare({"words": sys.argv[1]}, "bpe:300", sys.argv[2])
"""


def test_killed_process_leaves_what_the_next_one_finishes(tmp_path):
    source = write_jsonl(tmp_path / "words.jsonl", documents("words", 1500))
    unbroken = prepare({"words": source}, "bpe:300", tmp_path / "unbroken")
    command = [sys.executable, "-c", _CHILD, str(source), str(tmp_path / "out")]
    progress = tmp_path / "out" / ".prepare" / "progress.json"
    kills = 0
    for _ in range(2):
        process = subprocess.Popen(command)
        started = progress.read_text() if progress.exists() else ""
        while process.poll() is None:
            # Killed in the middle of the second pass, once it has gone on.
            if progress.exists() and progress.read_text() != started:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            time.sleep(0.001)
    assert kills >= 1
    assert prepare({"words": source}, "bpe:300", tmp_path / "out").fingerprint == unbroken.fingerprint
    assert files(tmp_path / "out") == files(tmp_path / "unbroken")
