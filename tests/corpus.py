"""A synthetic corpus with known structure: domains that differ in entropy and in how fast they are learnt.

chant       twelve words, long repeats: learnt at once
arithmetic  sums written out: exact, learnt slowly
words       a Markov source over 600 words: much to learn, never ends
digits      uniform random digits: nothing to learn beyond log 10 nats a digit
brackets    nested brackets of three kinds: long-range structure
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAINS = ("chant", "arithmetic", "words", "digits", "brackets")


def documents(domain: str, count: int, seed: int = 0) -> Iterator[str]:
    """`count` distinct documents of 300 to 900 characters."""
    rng = random.Random(f"{domain}-{seed}")
    source = _SOURCES[domain](rng)
    for number in range(count):
        length = rng.randint(300, 900)
        text = f"{number} "
        while len(text) < length:
            text += next(source)
        yield text.strip()


def write_text(folder: Path, count: int = 60, seed: int = 0, domains: tuple[str, ...] = DOMAINS) -> dict[str, Path]:
    """Write `count` documents of each domain, each domain in another format; paths by domain."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for domain in domains:
        writer, suffix = _FORMATS[domain]
        paths[domain] = folder / f"{domain}{suffix}"
        writer(paths[domain], list(documents(domain, count, seed)))
    return paths


def _chant(rng: random.Random) -> Iterator[str]:
    words = ["la", "ho", "hey", "yo", "na", "da", "mi", "sol", "re", "do", "fa", "ti"]
    while True:
        yield " ".join(rng.sample(words, 3)) * rng.randint(2, 5) + "\n"


def _arithmetic(rng: random.Random) -> Iterator[str]:
    while True:
        a, b = rng.randrange(100), rng.randrange(100)
        yield f"{a} + {b} = {a + b}\n"


def _words(rng: random.Random) -> Iterator[str]:
    # The language itself is fixed; only the walk through it depends on the seed.
    language = random.Random("words")
    letters = "aeioubcdfghklmnprstvwz"
    words = ["".join(language.choices(letters, k=language.randint(2, 8))) for _ in range(600)]
    following = [language.sample(range(600), 8) for _ in words]
    state = 0
    while True:
        state = rng.choice(following[state])
        yield words[state] + (".\n" if rng.random() < 0.08 else " ")


def _digits(rng: random.Random) -> Iterator[str]:
    while True:
        yield "".join(rng.choices("0123456789", k=20)) + "\n"


def _brackets(rng: random.Random) -> Iterator[str]:
    pairs = {"(": ")", "[": "]", "{": "}"}
    while True:
        text, still_open = "", []
        for _ in range(30):
            if still_open and rng.random() < 0.5:
                text += pairs[still_open.pop()]
            else:
                still_open.append(rng.choice("([{"))
                text += still_open[-1]
        yield text + "".join(pairs[bracket] for bracket in reversed(still_open)) + "\n"


_SOURCES = {"chant": _chant, "arithmetic": _arithmetic, "words": _words, "digits": _digits, "brackets": _brackets}


def _write_txt(folder: Path, texts: list[str]) -> None:
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:05}.txt").write_text(text, encoding="utf-8")


def _jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts)).encode()


def _write_jsonl(path: Path, texts: list[str]) -> None:
    path.write_bytes(_jsonl(texts))


def _write_gzip(path: Path, texts: list[str]) -> None:
    path.write_bytes(gzip.compress(_jsonl(texts), mtime=0))


def _write_zstd(path: Path, texts: list[str]) -> None:
    path.write_bytes(zstandard.compress(_jsonl(texts)))


def _write_parquet(path: Path, texts: list[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=16)


_FORMATS = {
    "chant": (_write_txt, ""),
    "arithmetic": (_write_jsonl, ".jsonl"),
    "words": (_write_gzip, ".jsonl.gz"),
    "digits": (_write_zstd, ".jsonl.zst"),
    "brackets": (_write_parquet, ".parquet"),
}


def make_data(folder: Path, domains: int = 3, tokens_per_domain: int = 20_000, vocab: int = 300) -> Path:
    """A data folder of the first `domains` domains, about `tokens_per_domain` tokens each, through `prepare`."""
    from mixopt.data.prepare import prepare

    folder = Path(folder)
    # Training tokens that a document gives at a vocabulary of 300.
    yields = {"chant": 205, "arithmetic": 410, "words": 520, "digits": 500, "brackets": 350}
    paths = {}
    for name in DOMAINS[:domains]:
        paths |= write_text(
            folder.with_name(f"{folder.name}-text") / name, max(8, tokens_per_domain // yields[name]), domains=(name,)
        )
    prepare(paths, f"bpe:{vocab}", folder, validation_share=0.1)
    return folder
