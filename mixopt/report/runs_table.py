"""Runs of the results table as tables in the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from mixopt.units import format_count, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from mixopt.result import RunResult
    from mixopt.spec import RunSpec

_STYLE = {"finished": "green", "diverged": "yellow", "failed": "red"}


def runs_table(rows: Sequence[dict[str, Any]]) -> Table:
    """A row a run, from `Store.rows`."""
    names = {"mean_loss": "mean loss", "mean_masked_loss": "masked loss"}
    losses = [key for key in names if any(row[key] is not None for row in rows)] or ["mean_loss"]
    # Two columns of losses fit a page with their names on two lines.
    titles = [names[key] if len(losses) == 1 else names[key].replace(" ", "\n") for key in losses]
    shown = ("tokens", "seed", "params", *titles, "time")
    table = _table(("run", "status", "model", "policy"), shown, "created")
    for row in rows:
        table.add_row(
            row["run_id"],
            _status(row["status"]),
            escape(row["model"]),
            row["policy"],
            format_count(row["tokens"]),
            str(row["seed"]),
            format_count(row["parameters"]),
            *("" if row[key] is None else f"{row[key]:.4f}" for key in losses),
            format_seconds(row["seconds"]),
            row["created"][:16].replace("T", " "),
        )
    return table


def print_run(spec: RunSpec, result: RunResult, created: str, console: Console) -> None:
    """Everything about one run."""
    model, optim = spec.model, spec.optim
    lines = [
        f"[bold]{result.run_id}[/bold]  {_status(result.status)}  {created}",
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
    names = ("weight", "tokens", "epochs", "loss", "perplexity", "bits/byte", "train loss")
    if spec.objective == "masked":
        words = "whole words" if spec.whole_word else "tokens"
        lines.append(f"losses    of masked {words}, nats/masked token")
        names = ("weight", "tokens", "epochs", "masked loss", "exp of it", "bits/byte", "masked train loss")
    console.print("\n".join(lines), highlight=False)
    table = _table(("domain",), names)
    weights = spec.mixture.to_dict()
    for domain, part in result.domains.items():
        perplexity = None if part.loss is None else math.exp(part.loss)
        table.add_row(
            escape(domain),
            _number(weights.get(domain)),
            format_count(part.tokens_seen),
            f"{part.epochs:.2f}",
            *(_number(value) for value in (part.loss, perplexity, part.bits_per_byte, part.train_loss)),
        )
    if result.domains:
        console.print(table)


def _table(left: Sequence[str], right: Sequence[str], *last: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    for name in last:
        table.add_column(name, no_wrap=True)
    return table


def _status(status: str) -> str:
    return f"[{_STYLE[status]}]{status}[/{_STYLE[status]}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
