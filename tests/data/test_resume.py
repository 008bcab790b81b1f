import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mixopt.data import manifest as manifest_module
from mixopt.data import prepare as prepare_module
from mixopt.data import write as write_module
from mixopt.data.manifest import Manifest
from mixopt.data.prepare import prepare
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


def files(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "tokens").iterdir())}


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
    with pytest.raises(DataError, match=r"disk is full.*same command"):
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


def test_a_process_that_comes_to_the_lock_too_late_writes_nothing(text, tmp_path, monkeypatch):
    """It claimed the folder while the other was at work, and gets the lock when that one has ended."""
    out = tmp_path / "out"
    claim = prepare_module._claim

    def claim_then_wait(*arguments):
        claimed = claim(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(prepare_module, "_claim", claim)
            prepare(text, "bpe:300", out)
        return claimed

    monkeypatch.setattr(prepare_module, "_claim", claim_then_wait)
    monkeypatch.setattr(prepare_module, "_write", _write_once(prepare_module._write))
    assert prepare(text, "bpe:300", out) == Manifest.load(out)
    assert not (out / prepare_module.WORK_FOLDER).exists()


def _write_once(write):
    calls = []

    def once(*arguments):
        calls.append(arguments)
        assert len(calls) == 1
        return write(*arguments)

    return once


_CHILD = """
import sys
from mixopt.data import write
from mixopt.data.prepare import prepare
write._BATCH_CHARACTERS, write.COMMIT_SECONDS = 2000, 0
prepare({"words": sys.argv[1]}, "bpe:300", sys.argv[2])
"""


@pytest.mark.slow
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
