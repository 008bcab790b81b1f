"""The larger bench corpus: thirteen training domains of real text and two that are only measured.

    python benchmarks/bench_corpus.py --out data/bench

The demo corpus's seven domains, and eight more from Debian packages (`apt-get download`, unpacked by `dpkg-deb`,
never installed), so it needs a Debian machine. Text is cached beside the demo's. Package versions move with the
distribution; those used are printed, and the data's fingerprint says whether two machines have the same text.

| domain | source | licence |
|---|---|---|
| dictionary | GCIDE (dict-gcide), 60 entries a document | GPL-3 |
| glosses | WordNet 3.0 glosses (wordnet-base), 60 a document | WordNet |
| kernel | Linux kernel documentation (linux-doc) | GPL-2 |
| manual | manual pages, roff source (manpages, manpages-dev) | various free |
| help | GNOME help in 42 languages (gnome-user-docs) | CC-BY-SA-3.0 |
| python_docs | Python's documentation (python3-doc) | PSF |
| jargon (measured only) | FOLDOC and the Jargon File (dict-foldoc, dict-jargon) | GFDL, public domain |
| perl_docs (measured only) | Perl's manual, pod source (perl-doc) | GPL, Artistic |
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from mixopt.data.corpora import cache_folder, demo_corpus
from mixopt.data.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_RECIPE = 1
_ENTRIES = 60


def bench_corpus(cache: str | Path | None = None) -> dict[str, Path]:
    """JSONL files by domain, fetched and made on demand."""
    folder = cache_folder(cache) / f"bench-{_RECIPE}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.jsonl" for name in _RECIPES}
    for name, path in paths.items():
        if not path.exists():
            packages, documents = _RECIPES[name]
            print(f"fetching {name}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as unpacked:
                _unpack(packages, Path(unpacked))
                _write(path, documents(Path(unpacked)))
    return {**demo_corpus(cache, lambda line: print(line, file=sys.stderr)), **paths}


def _unpack(packages: tuple[str, ...], folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        sys.exit("bench_corpus: needs apt-get and dpkg-deb, as on Debian")
    for package in packages:
        command = ["apt-get", "download", _newest(package)]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(f"bench_corpus: apt-get download {package} failed: {result.stderr.strip()[:300]}")
    for archive in sorted(folder.glob("*.deb")):
        print(f"  {archive.name}", file=sys.stderr)
        subprocess.run(["dpkg-deb", "-x", archive.name, "text"], cwd=folder, check=True)


def _newest(package: str) -> str:
    """`linux-doc` and `python3-doc` are empty packages that depend on the one of the day."""
    if package not in ("linux-doc", "python3-doc"):
        return package
    found = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=True).stdout
    return next(name for name in re.findall(r"Depends: (\S+)", found) if "doc" in name)


def _write(path: Path, documents: Iterable[str]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        for text in dict.fromkeys(document.strip() for document in documents):
            if text:
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    temporary.replace(path)


def _entries(root: Path) -> Iterator[str]:
    """dictd files: an entry begins where a line is not indented."""
    for path in sorted(root.rglob("*.dict.dz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        yield from _grouped(re.split(r"\n(?=\S)", text))


def _glosses(root: Path) -> Iterator[str]:
    for part in ("noun", "verb", "adj", "adv"):
        lines = (root / f"text/usr/share/wordnet/data.{part}").read_text(encoding="utf-8").splitlines()
        yield from _grouped(_gloss(line) for line in lines if not line.startswith("  "))


def _gloss(line: str) -> str:
    """`word, word: gloss` from a line of WordNet's data files (hexadecimal count of words in the fourth column)."""
    fields, _, gloss = line.partition(" | ")
    columns = fields.split()
    words = columns[4 : 4 + 2 * int(columns[3], 16) : 2]
    return f"{', '.join(word.replace('_', ' ') for word in words)}: {gloss.strip()}"


def _grouped(entries: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for entry in entries:
        held.append(entry.rstrip())
        if len(held) == _ENTRIES:
            yield "\n".join(held)
            held = []
    yield "\n".join(held)


def _sources(root: Path) -> Iterator[str]:
    """Sphinx's copies of its sources."""
    for path in sorted(root.rglob("*.rst.txt")):
        yield path.read_text(encoding="utf-8", errors="replace")


def _manual(root: Path) -> Iterator[str]:
    """Pages without their comments, which are licences."""
    for path in sorted(root.glob("text/usr/share/man/man*/*.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        yield re.sub(r"(?m)^[.']\\\".*\n", "", text)


def _pods(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.pod")):
        yield path.read_text(encoding="utf-8", errors="replace")


def _help(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.page")):
        text = "".join(ElementTree.fromstring(path.read_bytes()).itertext())
        yield re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \t]+", " ", text))


_RECIPES: dict[str, tuple[tuple[str, ...], Callable[[Path], Iterator[str]]]] = {
    "dictionary": (("dict-gcide",), _entries),
    "glosses": (("wordnet-base",), _glosses),
    "kernel": (("linux-doc",), _sources),
    "manual": (("manpages", "manpages-dev"), _manual),
    "help": (("gnome-user-docs",), _help),
    "jargon": (("dict-foldoc", "dict-jargon"), _entries),
    "perl_docs": (("perl-doc",), _pods),
    "python_docs": (("python3-doc",), _sources),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--vocabulary", type=int, default=1024)
    parser.add_argument("--cache", type=Path, help="folder for text [the user's cache folder]")
    options = parser.parse_args()
    manifest = prepare(bench_corpus(options.cache), f"bpe:{options.vocabulary}", options.out, progress=True)
    for name, tokens in manifest.tokens.items():
        print(f"{name:12} {tokens:>12,} training tokens")


if __name__ == "__main__":
    main()
