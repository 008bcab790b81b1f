"""Runs of the results table as tables: many with their scalars, one by domain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from mixopt.display.table import Cell, Column, Kind, Table, count, named, number, table, word
from mixopt.report.console import grid
from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

_KIND: dict[str, Kind] = {"finished": "good", "diverged": "bad", "failed": "bad"}


@dataclass(frozen=True)
class Part:
    """One domain's part of a run; None where there is no such number."""

    weight: float | None  # share of the training tokens asked for; None for a domain that is only evaluated
    loss: float | None  # final validation loss, nats/token
    bits_per_byte: float | None  # the same in bits per byte
    train_loss: float | None  # nats/token
    tokens: float | None  # training tokens seen
    epochs: float | None  # passes over the domain's distinct tokens


def runs_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A row a run, from `Store.rows`."""
    names = {"mean_loss": "mean loss", "mean_masked_loss": "masked loss"}
    losses = [key for key in names if any(row[key] is not None for row in rows)] or ["mean_loss"]
    # Two columns of losses fit a page with their names on two lines.
    titles = [names[key] if len(losses) == 1 else names[key].replace(" ", "\n") for key in losses]
    columns = [
        *(Column(name, words=True) for name in ("run", "status", "model", "policy")),
        *named(("tokens", "seed", "params", *titles, "time")),
        Column("created", words=True),
    ]
    cells = [
        [
            word(row["run_id"]),
            status_cell(row),
            word(row["model"]),
            word(row["policy"]),
            count(row["tokens"]),
            number(row["seed"], "{:d}"),
            count(row["parameters"]),
            *(number(row[key], "{:.4f}") for key in losses),
            time_cell(row),
            created_cell(row),
        ]
        for row in rows
    ]
    return table("runs", "Runs", columns, cells)


def status_cell(row: Mapping[str, Any]) -> Cell:
    """How a run ended, and why where it did not end well."""
    error = row.get("error")
    return word(row["status"], _KIND[row["status"]], error if isinstance(error, str) else "")


def time_cell(row: Mapping[str, Any]) -> Cell:
    """Wall time."""
    return Cell(text=format_seconds(row["seconds"]), value=row["seconds"], key=float(row["seconds"]))


def created_cell(row: Mapping[str, Any]) -> Cell:
    """To the minute."""
    return word(row["created"][:16].replace("T", " "))


def parts_table(run_id: str, parts: Mapping[str, Part], *, masked: bool) -> Table:
    """One run by domain."""
    losses = ("loss", "perplexity", "bits/byte", "train loss")
    if masked:
        losses = ("masked loss", "exp of it", "bits/byte", "masked train loss")
    columns = [Column("domain"), *named(("weight", "tokens", "epochs", *losses))]
    rows = [
        [
            word(domain),
            number(part.weight, "{:.4g}"),
            count(part.tokens),
            number(part.epochs, "{:.2f}"),
            number(part.loss, "{:.4g}"),
            number(None if part.loss is None else math.exp(part.loss), "{:.4g}"),
            number(part.bits_per_byte, "{:.4g}"),
            number(part.train_loss, "{:.4g}"),
        ]
        for domain, part in parts.items()
    ]
    return table(f"run-{run_id}", f"Run {run_id}", columns, rows)


def print_run(spec: RunSpec, result: RunResult, created: str, console: Console) -> None:
    """Everything about one run."""
    model, optim = spec.model, spec.optim
    style = "green" if result.status == "finished" else "red"
    lines = [
        f"[bold]{result.run_id}[/bold]  [{style}]{result.status}[/{style}]  {created}",
        f"model     {model.family}, {model.layers} layers, {model.width} wide, {format_count(result.parameters)} "
        f"parameters, vocabulary {model.vocab_size}, sequences of {spec.sequence_length}",
        f"training  {format_count(result.tokens)} of {format_count(spec.tokens)} tokens, batches of "
        f"{format_count(optim.batch_tokens)}, lr {optim.lr:g} {optim.schedule}, seed {spec.seed}",
        f"policy    {spec.policy.name}",
        f"data      {spec.data.fingerprint}",
        f"speed     {format_count(result.tokens_per_second)} tokens/s on {result.device or 'nothing'}, "
        f"{format_seconds(result.seconds)}, {result.flops:.3g} FLOPs",
    ]
    if result.error:
        lines.append(f"error     [red]{escape(result.error)}[/red]")
    if spec.objective == "masked":
        words = "whole words" if spec.whole_word else "tokens"
        lines.append(f"losses    of masked {words}, nats/masked token")
    console.print("\n".join(lines), highlight=False)
    weights = spec.mixture.to_dict()
    parts = {
        domain: Part(weights.get(domain), p.loss, p.bits_per_byte, p.train_loss, p.tokens_seen, p.epochs)
        for domain, p in result.domains.items()
    }
    if parts:
        console.print(grid(parts_table(result.run_id, parts, masked=spec.objective == "masked")))
