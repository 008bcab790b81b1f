import json
import os
import shutil

import numpy as np
import pytest

from mixopt.data import tokens as tokens_module
from mixopt.data.manifest import Manifest
from mixopt.data.tokens import VERIFIED_FILE, TokenData
from mixopt.errors import DataError


@pytest.fixture
def folder(data_dir, tmp_path):
    return shutil.copytree(data_dir, tmp_path / "data", ignore=shutil.ignore_patterns(VERIFIED_FILE))


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_batch_equals_slices_of_the_files(data_dir):
    data = TokenData.open(data_dir)
    domains, windows = np.array([2, 0, 2, 1]), np.array([3, 0, 0, 7])
    batch = data.batch("train", domains, windows, 16)
    assert batch.dtype == np.int64
    for row, domain, window in zip(batch, domains, windows, strict=True):
        file = data_dir / data.manifest.domains[domain].train.file
        raw = np.fromfile(file, dtype=data.manifest.dtype)
        assert row.tolist() == raw[window * 16 : window * 16 + 17].tolist()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_windows_cover_the_split_and_end_inside(data_dir, split):
    data = TokenData.open(data_dir)
    counts = data.train_sequences(33) if split == "train" else data.validation_sequences(33)
    for domain, count in enumerate(counts):
        raw = getattr(data, split)[domain]
        assert count == (len(raw) - 1) // 33
        batch = data.batch(split, np.full(count, domain), np.arange(count), 33)
        assert batch[:, 1:].ravel().tolist() == raw[1 : count * 33 + 1].tolist()
        with pytest.raises(IndexError):
            data.batch(split, np.array([domain]), np.array([count]), 33)


def test_domain_shorter_than_a_sequence_is_named(data_dir):
    data = TokenData.open(data_dir)
    with pytest.raises(DataError, match=r"'chant'.*one train sequence"):
        data.train_sequences(10**6)


def test_fingerprint_is_of_content_not_place(data_dir, folder):
    assert Manifest.load(folder).fingerprint == Manifest.load(data_dir).fingerprint
    content = json.loads((folder / "manifest.json").read_text())
    content["domains"][0]["train"]["hash"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(content))
    assert Manifest.load(folder).fingerprint != Manifest.load(data_dir).fingerprint


def test_manifest_round_trip_is_exact(data_dir, tmp_path):
    manifest = Manifest.load(data_dir)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert manifest.natural.domains == manifest.domain_names


@pytest.mark.parametrize("verify", [True, False])
def test_truncated_file_is_refused(folder, verify):
    path = folder / Manifest.load(folder).domains[1].train.file
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match="truncated or edited"):
        TokenData.open(folder, verify=verify)


def test_missing_file_is_refused(folder):
    (folder / Manifest.load(folder).domains[0].validation.file).unlink()
    with pytest.raises(DataError, match="missing"):
        TokenData.open(folder)


def test_edited_file_is_refused_even_after_it_was_verified(folder):
    TokenData.open(folder)
    path = folder / Manifest.load(folder).domains[0].train.file
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="does not match"):
        TokenData.open(folder)


def test_unchanged_files_are_hashed_once(folder, monkeypatch):
    TokenData.open(folder)

    def no_hash(path):
        raise AssertionError(path)

    monkeypatch.setattr(tokens_module, "hash_file", no_hash)
    TokenData.open(folder)
    os.utime(folder / Manifest.load(folder).domains[0].train.file)
    with pytest.raises(AssertionError):
        TokenData.open(folder)


def test_opens_where_it_may_not_write(folder, monkeypatch):
    def refuse(path, text):
        raise PermissionError(path)

    monkeypatch.setattr(tokens_module, "write_atomic", refuse)
    TokenData.open(folder)
    assert not (folder / VERIFIED_FILE).exists()


def test_tokens_cannot_be_written_through(data_dir):
    data = TokenData.open(data_dir)
    with pytest.raises(ValueError, match="read-only"):
        data.train[0][0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 1, found 99"),
        ({"surprise": 1}, "surprise"),
        ({"dtype": "uint8"}, "dtype"),
        ({"domains": []}, "distinct domains"),
        ({"vocab_size": 100_000}, r"uint16.*found 0 and 100000"),
        ({"eot_id": 300}, "end-of-text token"),
    ],
)
def test_manifest_that_is_wrong_is_refused(folder, changes, message):
    edit(folder / "manifest.json", **changes)
    with pytest.raises(DataError, match=message):
        TokenData.open(folder)


def test_manifest_that_is_missing_or_no_json_is_refused(folder, tmp_path):
    with pytest.raises(DataError, match="mixopt data prepare"):
        TokenData.open(tmp_path / "nowhere")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        TokenData.open(folder)
