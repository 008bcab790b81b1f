import gzip
import json
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.data.readers import hub_parts, inventory, read_documents
from mixopt.errors import DataError
from tests.corpus import DOMAINS, documents, write_text


def read(path, key="text"):
    return list(read_documents(str(path), key))


def fails(path, *parts, key="text"):
    with pytest.raises(DataError) as caught:
        read(path, key)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_format_gives_back_its_documents(tmp_path, domain):
    path = write_text(tmp_path, 30, domains=(domain,))[domain]
    assert read(path) == list(documents(domain, 30))


def test_folder_is_read_in_the_order_of_its_paths(tmp_path):
    for name, text in (("b/2.txt", "three"), ("a.txt", "one"), ("b/10.txt", "two"), (".hidden/x.txt", "no")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "README.md").write_text("not a document")
    (tmp_path / "c.jsonl").write_text('{"text": "four"}\n\n{"text": "  "}\n{"text": "five"}')
    assert read(tmp_path) == ["one", "two", "three", "four", "five"]


@settings(max_examples=30)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), min_size=1))
def test_jsonl_keeps_any_unicode(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("unicode") / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=len(text) % 2 == 0) + "\n" for text in texts), encoding="utf-8"
    )
    assert read(path) == texts


def test_zstd_of_several_frames_is_read_whole(tmp_path):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(zstandard.compress(b'{"text": "%d"}\n' % n * 5000) for n in range(3)))
    assert [text for n, text in enumerate(read(path)) if n % 5000 == 0] == ["0", "1", "2"]


def test_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfword")
    assert read(tmp_path) == ["word"]


def test_other_key(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"content": "word"}\n')
    assert read(tmp_path, "content") == ["word"]
    fails(tmp_path / "a.jsonl", "a.jsonl, line 1", "'text'", "found content", "--text-key")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "cut', "expected one JSON object a line"),
        (b'["text"]', "expected a JSON object with the key 'text'"),
        (b'{"text": 5}', "expected text, found int"),
        (b'{"text": null}', "expected text, found NoneType"),
        (b'{"text": "\xff"}', "expected UTF-8"),
        (b'{"text": "\\ud800"}', "surrogate"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_bad_line_is_named_by_file_and_number(tmp_path, line, message, suffix):
    content = b'{"text": "good"}\n\n' + line + b"\n"
    compress = {".jsonl": bytes, ".jsonl.gz": gzip.compress, ".jsonl.zst": zstandard.compress}[suffix]
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(compress(content))
    fails(path, f"bad{suffix}, line 3", message)


def test_bad_json_is_placed_in_the_file_alone(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "good"}\n' * 6 + '{"text": "cut"\n')
    with pytest.raises(DataError, match=r"line 7: .*bad JSON .*column \d+") as caught:
        read(path)
    assert str(caught.value).count("line ") == 1


def test_gzip_file_that_is_damaged_inside(tmp_path):
    content = bytearray(
        gzip.compress("".join(json.dumps({"text": t}) + "\n" for t in documents("words", 200)).encode())
    )
    content[3000:3050] = b"x" * 50
    (tmp_path / "bad.jsonl.gz").write_bytes(content)
    fails(tmp_path, "bad.jsonl.gz", "damaged")


def test_text_that_is_not_utf8_is_named_by_line(tmp_path):
    (tmp_path / "latin.txt").write_bytes("one\ntwo\ncaf\xe9".encode("latin-1"))
    fails(tmp_path, "latin.txt, line 3", "UTF-8")


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_file_that_was_cut_off_is_noticed(tmp_path, suffix, compress):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in documents("words", 200))
    path = tmp_path / f"cut.jsonl{suffix}"
    path.write_bytes(compress(lines.encode())[:-20])
    fails(path, "cut.jsonl", "ends early")


@pytest.mark.parametrize("name", ["bad.jsonl.gz", "bad.jsonl.zst", "bad.parquet"])
def test_file_that_is_not_what_its_name_says(tmp_path, name):
    (tmp_path / name).write_bytes(b'{"text": "plain"}\n' * 10)
    fails(tmp_path, name, "not a")


def test_parquet_without_the_column(tmp_path):
    path = write_text(tmp_path, 5, domains=("brackets",))["brackets"]
    fails(path, "brackets.parquet", "found text", "--text-key", key="content")


def test_places_with_nothing_to_read(tmp_path):
    fails(tmp_path, "expected files of .txt", "found none")
    fails(tmp_path / "nowhere", "no such file or folder")
    fails("org/name", "hf://org/name")
    (tmp_path / "a.csv").write_text("text\n")
    fails(tmp_path / "a.csv", "expected a file of", ".csv")


@pytest.mark.parametrize("splits", [None, ["train", "test"], ["only"]])
def test_datasets_folder(tmp_path, splits):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": ["one", "two"], "id": [1, 2]})
    whole = rows if splits is None else datasets.DatasetDict(dict.fromkeys(splits, rows))
    whole.save_to_disk(str(tmp_path / "saved"))
    assert read(tmp_path / "saved") == ["one", "two"]
    assert all(name.endswith(".arrow") for name, _, _ in inventory(str(tmp_path / "saved")))
    fails(tmp_path / "saved", "found text, id", key="content")


def test_datasets_folder_without_a_train_split(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": ["one"]})
    datasets.DatasetDict({"a": rows, "b": rows}).save_to_disk(str(tmp_path / "saved"))
    fails(tmp_path / "saved", "expected a split `train`, found a, b")


def test_hub_names():
    assert hub_parts("hf://org/name") == ("org/name", None, "train")
    assert hub_parts("hf:org/name:validation") == ("org/name", None, "validation")
    assert hub_parts("hf://org/name:en:test") == ("org/name", "en", "test")
    with pytest.raises(DataError, match="expected hf://NAME"):
        hub_parts("hf://a:b:c:d")


def test_hub_is_streamed(monkeypatch):
    asked = []

    def load_dataset(name, config, *, split, streaming):
        asked.append((name, config, split, streaming))
        return iter([{"text": "one"}, {"text": "two"}])

    monkeypatch.setitem(__import__("sys").modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert read("hf://org/name:en:test") == ["one", "two"]
    assert asked == [("org/name", "en", "test", True)]
    fails("hf://org/name", "hf://org/name, row 1", "found text", key="content")


def test_hub_that_does_not_answer(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise ConnectionError("no\nroute")

    monkeypatch.setitem(__import__("sys").modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    fails("hf://org/name", "hf://org/name", "ConnectionError: no route", "give the folder")


def test_inventory_changes_with_the_files(tmp_path):
    path = write_text(tmp_path, 5, domains=("chant",))["chant"]
    before = inventory(str(path))
    assert inventory(str(path)) == before
    (path / "00002.txt").write_text("another text")
    assert inventory(str(path)) != before


def test_a_path_from_the_home_folder(tmp_path, monkeypatch):
    """No shell expands `~` within --domain NAME=~/text, nor in a YAML file."""
    path = write_text(tmp_path, 5, domains=("chant",))["chant"]
    monkeypatch.setenv("HOME", str(path.parent))
    assert inventory(f"~/{path.name}") == inventory(str(path))
    assert list(read_documents(f"~/{path.name}")) == list(read_documents(str(path)))
