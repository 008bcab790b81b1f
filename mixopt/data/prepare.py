"""prepare(): text of several domains to a data folder, in two passes over the text.

The first pass (`scan`) chooses the validation documents and a sample for a tokenizer, the second (`write`) makes
tokens. Memory does not grow with the corpus. A kill at any moment costs seconds: the same call goes on, and ends
with the same files as an unbroken one. While unfinished, the folder holds `.prepare/`; the manifest comes last.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mixopt.data.manifest import FILE_NAME, TOKENIZER_FOLDER, DomainEntry, Manifest, Split
from mixopt.data.progress import PrepareProgress
from mixopt.data.readers import read_documents
from mixopt.data.request import PrepareRequest, first_difference
from mixopt.data.scan import Scan, scan_domain
from mixopt.data.tokenizer import TextTokenizer, bpe_vocabulary, load_tokenizer, train_bpe
from mixopt.data.write import Position, Written, write_domain
from mixopt.errors import DataError
from mixopt.files import hash_file, write_atomic, writing
from mixopt.units import format_bytes, format_count, format_seconds

REQUEST_FILE = "request.json"
WORK_FOLDER = ".prepare"
TOKENS_FOLDER = "tokens"
# Text of each domain that a tokenizer is trained on: 1 MB a domain keeps training at seconds.
SAMPLE_BYTES = 1_000_000


def prepare(
    domains: Mapping[str, str | Path],
    tokenizer: str,
    out: str | Path,
    *,
    text_key: str = "text",
    validation_share: float = 0.05,
    validation_bytes: int = 4_000_000,
    progress: bool = False,
) -> Manifest:
    """Make the text of `domains` into the data folder `out`; goes on where an interrupted call ended.

    Args:
        domains: where each domain's text is, as `mixopt.data.readers` reads it, by name.
        tokenizer: path or name of a tokenizer, or `bpe:VOCAB` to train one on the text.
        out: the folder; made on demand.
        text_key: key of the text in a JSON object, column in a table.
        validation_share: part of each domain's bytes that is held out, in whole documents.
        validation_bytes: the most bytes that are held out of each domain.
        progress: show bars on standard error.

    Returns:
        The manifest of the finished folder.

    Raises:
        DataError: text or tokenizer cannot be used, `out` holds something else, or the disk is full.
        ConfigError: a setting is wrong.
    """
    request = PrepareRequest(
        domains={name: str(location) for name, location in domains.items()},
        tokenizer=tokenizer,
        out=str(out),
        text_key=text_key,
        validation_share=validation_share,
        validation_bytes=validation_bytes,
    )
    return prepare_request(request, progress=progress)


def prepare_request(request: PrepareRequest, *, progress: bool = False) -> Manifest:
    """`prepare`, from a request."""
    out = Path(request.out)
    with writing(out), PrepareProgress(progress) as display:
        if _claim(out, request):
            display.say(f"{out} already holds this data; nothing to do")
            shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
            return Manifest.load(out)
        with _locked(out):
            if (out / FILE_NAME).exists():  # by a process that ended between the claim and the lock
                shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
                return Manifest.load(out)
            started = time.monotonic()
            scans = {name: _scan(request, index, display) for index, name in enumerate(request.domains)}
            tokenizer = _tokenizer(request, scans, display)
            entries = _write(request, scans, tokenizer, display)
            manifest = Manifest(
                dtype=tokenizer.dtype,  # pyright: ignore[reportArgumentType] (one of the two by construction)
                vocab_size=tokenizer.vocab_size,
                eot_id=tokenizer.eot_id,
                tokenizer=request.tokenizer,
                tokenizer_hash=tokenizer.hash,
                domains=tuple(entries),
                versions={name: version(name) for name in ("mixopt", "tokenizers", "transformers")},
            )
            manifest.save(out)
            text = format_bytes(sum(scan.bytes for scan in scans.values()))
            tokens = format_count(sum(entry.train.tokens for entry in entries))
            seconds = format_seconds(time.monotonic() - started)
            display.say(f"{out}: {tokens} training tokens of {len(entries)} domains, from {text} of text in {seconds}")
        shutil.rmtree(out / WORK_FOLDER, ignore_errors=True)
        return manifest


def _claim(out: Path, request: PrepareRequest) -> bool:
    """Make `out` this request's folder; True if it holds its finished data already."""
    identity = json.loads(json.dumps(request.identity()))
    path = out / REQUEST_FILE
    finished = (out / FILE_NAME).exists()
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: not JSON ({error}); remove {out} or choose another folder") from error
        if known != identity:
            state = "holds data" if finished else "holds unfinished work"
            raise DataError(
                f"{out} {state} of another request ({first_difference(known, identity)}); choose another folder or "
                "remove this one"
            )
        return finished
    # A kill in the middle of the request's own writing leaves its temporary file.
    foreign = [entry.name for entry in out.glob("*") if not re.fullmatch(rf"{REQUEST_FILE}\.\d+\.tmp", entry.name)]
    if foreign:
        raise DataError(f"{out}: expected a new or empty folder, found {foreign[0]!r} in it; choose another folder")
    if bpe_vocabulary(request.tokenizer) is None:
        # A mistyped name is found now: before hours of reading, and before the folder is tied to it.
        load_tokenizer(request.tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(identity))
    return False


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Make the folders and keep a second process out; the lock goes with the process, however it ends."""
    (out / WORK_FOLDER).mkdir(exist_ok=True)
    (out / TOKENS_FOLDER).mkdir(exist_ok=True)
    with (out / WORK_FOLDER / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"{out}: another process is preparing this folder; wait for it to end") from error
        yield


def _scan(request: PrepareRequest, index: int, display: PrepareProgress) -> Scan:
    """The first pass over a domain, or what an earlier call found."""
    name, location = list(request.domains.items())[index]
    path = Path(request.out) / WORK_FOLDER / f"scan-{index:02}.json"
    if path.exists():
        content = json.loads(path.read_text(encoding="utf-8"))
        sample = tuple((key, text) for key, text in content["sample"])
        return Scan(**{**content, "validation": tuple(content["validation"]), "sample": sample})
    display.start(f"reading {name}", total=None)
    try:
        scan = scan_domain(
            name,
            read_documents(location, request.text_key),
            validation_share=request.validation_share,
            validation_bytes=request.validation_bytes,
            sample_bytes=SAMPLE_BYTES if bpe_vocabulary(request.tokenizer) else 0,
            report=display.update,
        )
    except DataError as error:
        raise _of_domain(name, error) from error
    display.finish()
    write_atomic(path, json.dumps(asdict(scan)))
    return scan


def _tokenizer(request: PrepareRequest, scans: Mapping[str, Scan], display: PrepareProgress) -> TextTokenizer:
    """The tokenizer, kept in the folder from the first moment, so that every later step uses the same."""
    folder = Path(request.out) / TOKENIZER_FOLDER
    if not folder.exists():
        vocabulary = bpe_vocabulary(request.tokenizer)
        if vocabulary:
            held_out = {key for scan in scans.values() for key in scan.validation}
            texts = [text for scan in scans.values() for key, text in scan.sample if key not in held_out]
            display.say(f"training {request.tokenizer} on {sum(map(len, texts)) / 1e6:.1f} MB")
            tokenizer = train_bpe(texts, vocabulary)
            if tokenizer.vocab_size < vocabulary:
                display.say(f"the text gives a vocabulary of {tokenizer.vocab_size} only, {vocabulary} were asked for")
        else:
            tokenizer = load_tokenizer(request.tokenizer)
        temporary = Path(request.out) / WORK_FOLDER / TOKENIZER_FOLDER
        shutil.rmtree(temporary, ignore_errors=True)
        tokenizer.save(temporary)
        temporary.replace(folder)
    # Read back in any case: an interrupted and an unbroken call use the very same object.
    return load_tokenizer(str(folder / "tokenizer.json"), label=request.tokenizer)


def _write(
    request: PrepareRequest, scans: Mapping[str, Scan], tokenizer: TextTokenizer, display: PrepareProgress
) -> list[DomainEntry]:
    """The second pass over all domains, from the saved progress on."""
    out = Path(request.out)
    path = out / WORK_FOLDER / "progress.json"
    saved: dict[str, Any] = {"finished": [], "position": asdict(Position())}
    if path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
    held_out = frozenset(key for scan in scans.values() for key in scan.validation)
    for index, (name, location) in enumerate(request.domains.items()):
        files = {split: f"{TOKENS_FOLDER}/{index:02}-{_slug(name)}.{split}.bin" for split in ("train", "validation")}
        if index < len(saved["finished"]):
            continue
        scan = scans[name]
        start = Position.from_dict(saved["position"])
        display.start(f"tokenising {name}", total=scan.bytes, done=start.train.bytes + start.validation.bytes)
        try:
            end = write_domain(
                read_documents(location, request.text_key),
                tokenizer,
                own=frozenset(scan.validation),
                held_out=held_out,
                train_file=out / files["train"],
                validation_file=out / files["validation"],
                position=start,
                commit=_commit_to(path, saved["finished"]),
                report=display.update,
            )
        except DataError as error:
            raise _of_domain(name, error) from error
        display.finish()
        _check_complete(name, scan, end)
        splits = {split: _split(out, files[split], getattr(end, split)) for split in files}
        entry = {"name": name, **splits, "duplicates_removed": end.duplicates, "source": location}
        saved = {"finished": [*saved["finished"], entry], "position": asdict(Position())}
        write_atomic(path, json.dumps(saved))
    return [_entry(content) for content in saved["finished"]]


def _commit_to(path: Path, finished: list[dict[str, Any]]) -> Callable[[Position], None]:
    return lambda position: write_atomic(path, json.dumps({"finished": finished, "position": asdict(position)}))


def _check_complete(name: str, scan: Scan, end: Position) -> None:
    if (end.documents, end.validation.documents) != (scan.documents, len(scan.validation)):
        raise DataError(
            f"domain {name!r}: expected {scan.documents} documents, found {end.documents} on the second reading: "
            "the text has changed meanwhile; remove the folder and start again"
        )
    if not end.train.documents:
        raise DataError(
            f"domain {name!r}: expected documents to train on, found none besides copies of validation documents"
        )


def _split(out: Path, file: str, written: Written) -> dict[str, Any]:
    return {"file": file, **asdict(written), "hash": hash_file(out / file)}


def _entry(content: dict[str, Any]) -> DomainEntry:
    return DomainEntry(**{**content, **{split: Split(**content[split]) for split in ("train", "validation")}})


def _slug(name: str) -> str:
    """A domain's name as a part of a file name, which need not be unique."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:40] or "domain"


def _of_domain(name: str, error: DataError) -> DataError:
    return error if repr(name) in str(error) else DataError(f"domain {name!r}: {error}")
