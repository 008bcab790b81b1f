"""`mixopt export`: a mixture in the format of another trainer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mixopt.data.manifest import Manifest
    from mixopt.mixture import Mixture


def formats() -> dict[str, str]:
    """What help says of each format."""
    from mixopt.export import FORMATS

    found = {name: FORMATS.get(name) for name in FORMATS}
    numbers = {"probability": "probabilities", "epochs": "epochs"}
    return {name: f"{it.consumer}, {it.reader}; numbers are {numbers[it.weight]}" for name, it in found.items()}


def export(
    mixture: Annotated[str, typer.Argument(metavar="MIXTURE", help="FILE, NAME, ddo:STUDY, autoscale:STUDY, …")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="One of the formats above.")],
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--paths",
            help="DOMAIN=PATH, a file of `domain: path`, or a pattern with {name} in it (repeatable) [{name}].",
        ),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", help="Tokens of the training, for formats that count epochs.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Folder of prepared data: its domains, and their tokens.")
    ] = None,
    available: Annotated[
        Path | None, typer.Option("--available", help="YAML or JSON file of the tokens that there are (domain: count).")
    ] = None,
    sample_tokens: Annotated[
        str | None,
        typer.Option(
            "--sample-tokens",
            help="Mean tokens of a sample, where samples are not packed to one length: a file (domain: tokens), or "
            "`documents` for those of --data.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write [standard output].")] = None,
    results: Annotated[str, typer.Option("--results", help="Folder of the results table.")] = "results",
) -> None:
    """Write a mixture in the format of another trainer.

    MIXTURE is a file of weights, a name of `mixopt mixtures`, `ddo:STUDY`, `autoscale:STUDY`, or with --data
    `uniform` or `natural`. Shares are of training tokens; each format turns them into what its trainer counts:

    LIST

    `--to module:FORMAT` is a `mixopt.export.Format` of your own.

    Example: `mixopt export redpajama-llama --to megatron-lm --paths 'data/{name}_text_document' --out blend.txt`
    """
    from mixopt.errors import ConfigError
    from mixopt.export import FORMATS, Blend, read_paths
    from mixopt.units import parse_count

    form = FORMATS.get(to)
    manifest = _manifest(data)
    chosen = _mixture(mixture, manifest, results)
    if sample_tokens is not None and not form.samples:
        raise ConfigError(f"--sample-tokens: {to} counts tokens, or sequences of one length; leave the option out")
    blend = Blend.of(
        mixture,
        chosen,
        read_paths(paths or [], chosen.domains),
        tokens=parse_count(tokens, "--tokens") if tokens else None,
        available=_available(available, manifest, chosen),
        sample_tokens=_sample_tokens(sample_tokens, manifest, chosen),
    )
    text = form.write(blend)
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text)
        typer.echo(f"wrote {out} for {form.reader}")
    print(f"mixopt: note: {form.meaning}", file=sys.stderr)


def _manifest(data: str | None) -> Manifest | None:
    from mixopt.data.manifest import Manifest

    return Manifest.load(data) if data else None


def _mixture(text: str, manifest: Manifest | None, results: str) -> Mixture:
    from mixopt.study.mixtures import mixture_for, named_mixture

    return mixture_for(text, manifest.tokens, results) if manifest else named_mixture(text, results)


def _available(path: Path | None, manifest: Manifest | None, mixture: Mixture) -> Mapping[str, int] | None:
    from mixopt.units import parse_count

    if path is None:
        return manifest.tokens if manifest else None
    numbers = _numbers(path, "--available", mixture)
    return {domain: parse_count(number, f"{path}: {domain}") for domain, number in numbers.items()}


def _sample_tokens(given: str | None, manifest: Manifest | None, mixture: Mixture) -> Mapping[str, float] | None:
    from mixopt.errors import ConfigError

    if given is None:
        return None
    if given == "documents":
        if manifest is None:
            raise ConfigError("--sample-tokens documents: say whose with --data FOLDER")
        return {entry.name: entry.train.tokens / max(1, entry.train.documents) for entry in manifest.domains}
    numbers = _numbers(Path(given), "--sample-tokens", mixture)
    try:
        return {domain: float(number) for domain, number in numbers.items()}
    except (TypeError, ValueError) as error:
        raise ConfigError(f"--sample-tokens {given}: expected numbers ({error})") from error


def _numbers(path: Path, flag: str, mixture: Mixture) -> dict[str, str | float]:
    """A number a domain from a YAML or JSON file, for every domain of the mixture."""
    from mixopt.errors import ConfigError
    from mixopt.files import read_mapping

    content = read_mapping(path, f"{flag} {path}", "`domain: number` lines")
    lost = [domain for domain, weight in mixture.to_dict().items() if weight > 0 and domain not in content]
    if lost:
        raise ConfigError(f"{flag} {path}: no number for {', '.join(map(repr, lost))}")
    return {domain: content[domain] for domain in mixture.domains if domain in content}


def _write(path: Path, text: str) -> None:
    from mixopt.errors import ConfigError
    from mixopt.files import write_atomic

    try:
        write_atomic(path, text)
    except OSError as error:
        raise ConfigError(f"--out {path}: cannot be written ({error}); give another") from error
