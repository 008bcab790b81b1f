"""`mixopt data …`: text to tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mixopt.data.manifest import Manifest

app = typer.Typer(no_args_is_help=True, help="Prepare text for training, and look at it.")

DomainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--domain",
        metavar="NAME=PATH",
        help="A domain and its text: a file or folder of .txt, .jsonl, .jsonl.gz, .jsonl.zst or .parquet, a folder "
        "of `datasets`, or hf://NAME[:CONFIG][:SPLIT]. Once for each domain.",
    ),
]
TextKeyOption = Annotated[str | None, typer.Option("--text-key", help="Key or column of the text [default: text].")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
DataArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of prepared data.")]


@app.command()
def prepare(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.yaml]", help="The same settings as YAML.")] = None,
    domain: DomainOption = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="A tokenizer.json, a folder, a name on the hub, or bpe:VOCAB to train one on the text."),
    ] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Folder for the data.")] = None,
    text_key: TextKeyOption = None,
    validation_share: Annotated[
        float | None, typer.Option(help="Part of each domain's bytes to hold out [default: 0.05].")
    ] = None,
    validation_bytes: Annotated[
        str | None, typer.Option(help="The most bytes to hold out of each domain, such as 500k or 4M [default: 4M].")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tokenise the text of several domains into a data folder.

    Validation documents are held out whole, and copies of them are removed from training. Interrupted, the same
    command goes on where it ended.

    Example: `mixopt data prepare --domain web=crawl/ --domain books=books.jsonl.zst --tokenizer gpt2 --out data/`
    """
    from mixopt.data.prepare import prepare_request
    from mixopt.data.request import PrepareRequest
    from mixopt.errors import ConfigError
    from mixopt.units import parse_count

    settings = {
        "domains": _domains(domain) if domain else None,
        "tokenizer": tokenizer,
        "out": out,
        "text_key": text_key,
        "validation_share": validation_share,
        "validation_bytes": parse_count(validation_bytes, "--validation-bytes") if validation_bytes else None,
    }
    if file:
        request = PrepareRequest.from_yaml(file, **settings)
    else:
        given = {key: value for key, value in settings.items() if value is not None}
        for key, flag in (("domains", "--domain NAME=PATH"), ("tokenizer", "--tokenizer"), ("out", "--out")):
            if key not in given:
                raise ConfigError(f"data prepare: expected {flag}, or a YAML file with the key {key!r}; found neither")
        request = PrepareRequest(**given)
    manifest = prepare_request(request, progress=not (quiet or as_json))
    _print_manifest(manifest, Path(request.out), quiet, as_json)


@app.command()
def show(folder: DataArgument, as_json: JsonOption = False) -> None:
    """Show a data folder: size and natural share of each domain, and a sample.

    Example: `mixopt data show data/`
    """
    from mixopt.data.tokens import TokenData

    _print_manifest(TokenData.open(folder).manifest, folder, quiet=False, as_json=as_json)


@app.command()
def estimate(
    domain: DomainOption = None,
    tokenizer: Annotated[str | None, typer.Option(help="A tokenizer.json, a folder, or a name on the hub.")] = None,
    documents: Annotated[int, typer.Option(min=2, help="Documents of each domain to tokenise.")] = 1000,
    text_key: TextKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate the natural mixture from some documents of each domain, without preparing the data.

    Example: `mixopt data estimate --domain web=crawl/ --domain books=books/ --tokenizer gpt2 --documents 1000`
    """
    from mixopt.data import estimate as estimates
    from mixopt.errors import ConfigError

    if not domain or not tokenizer:
        raise ConfigError("data estimate: expected --domain NAME=PATH (once for each domain) and --tokenizer")
    parts = estimates.estimate(_domains(domain), tokenizer, documents=documents, text_key=text_key or "text")
    shares = estimates.natural_mixture(parts).to_dict()
    if as_json:
        content = {part.name: {**vars(part), "share": shares[part.name]} for part in parts}
        typer.echo(json.dumps({"domains": content, "natural": shares}, ensure_ascii=False))
        return
    from mixopt.units import format_count

    rows = [
        [
            part.name,
            f"{part.documents:,}",
            f"{part.tokens / part.documents:,.1f}",
            f"{part.bytes / part.tokens:.2f}",
            format_count(part.tokens),
            f"{part.standard_error / part.tokens:.2%}",
            f"{shares[part.name]:.2%}",
        ]
        for part in parts
    ]
    _print_table("", ["domain", "documents", "tokens/document", "bytes/token", "tokens", "± (1 s.e.)", "share"], rows)


@app.command()
def demo(
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for the data.")],
    vocabulary: Annotated[int, typer.Option(min=257, help="Tokens of the tokenizer that is trained on it.")] = 4096,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for downloads and text [default: the user's cache].")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch and prepare the demo corpus: seven clearly different domains, about 50 MB of text.

    Example: `mixopt data demo --out demo/data`
    """
    from mixopt.data.corpora import make_demo_data

    manifest = make_demo_data(out, vocabulary, cache, progress=not (quiet or as_json))
    _print_manifest(manifest, Path(out), quiet, as_json)


def _domains(given: list[str]) -> dict[str, str]:
    """`NAME=PATH` options by name."""
    from mixopt.errors import ConfigError

    domains: dict[str, str] = {}
    for option in given:
        name, separator, location = option.partition("=")
        if not (name and separator and location):
            raise ConfigError(f"--domain: expected NAME=PATH, found {option!r}")
        if name in domains:
            raise ConfigError(f"--domain: {name!r} is given twice; put its files into one folder")
        domains[name] = location
    return domains


def _print_manifest(manifest: Manifest, folder: Path, quiet: bool, as_json: bool) -> None:
    shares = manifest.natural.to_dict()
    if as_json:
        content = {**manifest.to_dict(), "fingerprint": manifest.fingerprint, "natural": shares}
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    if quiet:
        return
    from mixopt.data.estimate import sample_texts
    from mixopt.units import format_count

    samples = sample_texts(folder, manifest)
    rows = [
        [
            entry.name,
            f"{entry.train.documents:,}",
            format_count(entry.train.tokens),
            f"{entry.train.bytes / entry.train.tokens:.2f}",
            f"{shares[entry.name]:.1%}",
            format_count(entry.validation.tokens),
            f"{entry.duplicates_removed:,}",
            sample,
        ]
        for entry, sample in zip(manifest.domains, samples, strict=True)
    ]
    title = (
        f"{folder}: {manifest.tokenizer}, vocabulary {manifest.vocab_size:,}, {manifest.dtype}, "
        f"fingerprint {manifest.fingerprint}"
    )
    header = ["domain", "documents", "tokens", "bytes/token", "natural", "validation", "copies", "sample"]
    _print_table(title, header, rows)


def _print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mixopt.report.console import page

    console = page()
    table = Table(box=box.SIMPLE_HEAD)
    for name in header:
        table.add_column(name, justify="left" if name in ("domain", "sample") else "right", no_wrap=True)
    if header[-1] == "sample":
        others = sum(max(len(row[column]) for row in [header, *rows]) for column in range(len(header) - 1))
        room = max(10, console.width - others - 3 * len(header))
        rows = [[*row[:-1], row[-1][:room]] for row in rows]
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if title:
        console.print(Text(title))
    console.print(table)
