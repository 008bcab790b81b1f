"""A comparison as rows, made once and rendered in every format by `mixopt.report.compare_formats`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixopt.comparison import Comparison, DomainScore, Entry, Measured, Reach

ONLY_MEASURED = "†"
_NOTHING = "-"


@dataclass(frozen=True)
class Cell:
    """One mixture's value in a row.

    Attributes:
        text: for people; plain text, in which ± is one standard error.
        value: the number; None for a text, or where there is none.
        error: its standard error.
        low: lower end of its 95 % interval.
        high: upper end.
        best: whether it is the best of its row: the lowest, of scores mostly the greatest.
    """

    text: str
    value: float | None = None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One row: a cell for each mixture."""

    section: str
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ComparisonTable:
    """A whole comparison for people.

    Attributes:
        title: what is compared, in one line.
        names: N mixtures.
        rows: N cells each.
        notes: how to read it.
        warnings: what should make a reader careful.
    """

    title: str
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def comparison_table(comparison: Comparison) -> ComparisonTable:
    """The rows of a comparison: averages, gains and tokens to reach, each task and domain, then weights."""
    rows = [
        *_averages(comparison),
        *_against(comparison),
        *_by_task(comparison),
        *_by_domain(comparison),
        *_weights(comparison),
    ]
    return ComparisonTable(
        title=_title(comparison),
        names=tuple(comparison.entries),
        rows=tuple(rows),
        notes=tuple(_notes(comparison)),
        warnings=comparison.warnings,
    )


def _title(comparison: Comparison) -> str:
    counts = sorted({entry.tokens for entry in comparison.entries.values()})
    seeds = sorted({len(entry.seeds) for entry in comparison.entries.values()})
    tokens = " to ".join(dict.fromkeys(format_count(count) for count in (counts[0], counts[-1])))
    many = " to ".join(dict.fromkeys(str(count) for count in (seeds[0], seeds[-1])))
    return (
        f"{len(comparison.entries)} mixtures, {tokens} tokens, {many} seed{'' if many == '1' else 's'}; "
        f"objective {comparison.objective}"
    )


def _notes(comparison: Comparison) -> Iterator[str]:
    tasks = [task for entry in comparison.entries.values() for task in entry.tasks.values()]
    best = "the lowest of a row, of scores the best," if tasks else "the lowest of a row"
    yield f"± is one standard error over seeds; {best} is in bold; gains are relative, seed by seed"
    if any(task.over == "items" for task in tasks):
        yield "± of the scores of a mixture with one seed is over the tasks' items, which all mixtures share"
    if tasks and not all(task.higher_is_better for task in tasks):
        yield "the average of scores leaves out tasks of which lower is better"
    if any(not score.trained for entry in comparison.entries.values() for score in entry.domains.values()):
        yield f"{ONLY_MEASURED} only measured: not trained on, and not in averages"
    reasons: dict[str, list[str]] = {}
    for name, entry in comparison.entries.items():
        for baseline, found in entry.tokens_to_reach.items():
            if found.reason:
                reasons.setdefault(found.reason, []).append(f"{name} to {baseline}")
    for reason, pairs in reasons.items():
        yield f"tokens to reach, {', '.join(pairs)}: {reason}"


def _averages(comparison: Comparison) -> Iterator[Row]:
    section, entries = "Average", list(comparison.entries.values())
    shown = {"mean_ppl", "mean_loss", "mean_bits_per_byte", "worst"}
    if comparison.objective not in shown:
        yield _measured_row(section, comparison.objective, [entry.objective for entry in entries])
    if comparison.metric == "perplexity":
        yield _measured_row(section, "perplexity", [entry.mean_ppl for entry in entries])
        yield _measured_row(section, f"loss, {comparison.loss_units}", [entry.mean_loss for entry in entries])
        worst = [entry.worst.ppl for entry in entries]
    else:
        bits = [entry.mean_bits_per_byte for entry in entries]
        yield _measured_row(section, "bits per byte", [part for part in bits if part is not None])
        scores = [entry.domains[entry.worst.domain].bits_per_byte for entry in entries]
        worst = [part for part in scores if part is not None]
    yield _measured_row(section, "worst domain", worst)
    yield Row(section, "which is", tuple(Cell(entry.worst.domain) for entry in entries))


def _against(comparison: Comparison) -> Iterator[Row]:
    for baseline in comparison.baselines:
        section = f"Against {baseline}"
        tasks: list[tuple[str, Callable[[Entry], Cell]]] = []
        if comparison.entries[baseline].tasks:
            tasks = [("tasks won, lost", lambda entry, of=baseline: _tally(entry, of, "task_wins", "task_losses"))]
        rows: list[tuple[str, Callable[[Entry], Cell]]] = [
            ("gain", lambda entry, of=baseline: _gain(entry, of)),
            ("95 % interval", lambda entry, of=baseline: _gain_interval(entry, of)),
            ("seeds won, lost", lambda entry, of=baseline: _tally(entry, of, "wins", "losses")),
            ("domains won, lost", lambda entry, of=baseline: _tally(entry, of, "domain_wins", "domain_losses")),
            *tasks,
            ("tokens to reach its end", lambda entry, of=baseline: _tokens(entry, of)),
            ("tokens saved", lambda entry, of=baseline: _saved(entry, of)),
        ]
        for label, cell in rows:
            yield Row(section, label, tuple(cell(entry) for entry in comparison.entries.values()))


def _by_task(comparison: Comparison) -> Iterator[Row]:
    section, entries = "Downstream", list(comparison.entries.values())
    for name, first in entries[0].tasks.items():
        chance = "" if first.chance is None else f", chance {first.chance:.3g}"
        lower = "" if first.higher_is_better else ", lower is better"
        scores = [entry.tasks[name].score for entry in entries]
        label = f"{name} ({first.metric}{chance}{lower})"
        yield _measured_row(section, label, scores, greatest=first.higher_is_better)
    means = [entry.task_mean for entry in entries if entry.task_mean is not None]
    if means and len(entries[0].tasks) > 1:
        yield _measured_row(section, "average", means, greatest=True)


def _by_domain(comparison: Comparison) -> Iterator[Row]:
    def rows(section: str, part: Callable[[DomainScore], Measured | None]) -> Iterator[Row]:
        entries = list(comparison.entries.values())
        for domain in entries[0].domains:
            scores = [entry.domains[domain] for entry in entries]
            label = domain if any(score.trained for score in scores) else f"{domain} {ONLY_MEASURED}"
            values = [value for value in map(part, scores) if value is not None]
            yield _measured_row(section, label, values)

    if comparison.metric == "perplexity":
        yield from rows("Perplexity", lambda score: score.ppl)
        yield from rows(f"Loss, {comparison.loss_units}", lambda score: score.loss)
    else:
        yield from rows("Bits per byte", lambda score: score.bits_per_byte)


def _weights(comparison: Comparison) -> Iterator[Row]:
    entries = list(comparison.entries.values())
    if any(entry.policy != "static" for entry in entries):
        told = ["fixed" if entry.policy == "static" else f"mean of {entry.policy}" for entry in entries]
        yield Row("Weight", "which is", tuple(map(Cell, told)))
    for domain in dict.fromkeys(domain for entry in entries for domain in entry.weights):
        cells = [_number(entry.weights.get(domain), "{:.3f}") for entry in entries]
        yield Row("Weight", domain, tuple(cells))
    for domain in entries[0].domains:
        epochs = [entry.domains[domain].epochs for entry in entries]
        if max(epochs) > 1:
            yield Row("Epochs, where above 1", domain, tuple(_number(value, "{:.2f}") for value in epochs))


def _measured_row(section: str, label: str, values: list[Measured], *, greatest: bool = False) -> Row:
    """Numbers of which the lowest is best, or the greatest."""
    best = (max if greatest else min)(part.value for part in values)
    cells = [
        Cell(measured_text(part), part.value, part.standard_error, best=len(values) > 1 and part.value == best)
        for part in values
    ]
    return Row(section, label, tuple(cells))


def measured_text(measured: Measured) -> str:
    """`70.12 ± 0.43`: the error with two digits, the value with as many decimals; four digits without an error."""
    error = measured.standard_error
    if not error:
        return f"{measured.value:.4g}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{measured.value:.{decimals}f} ± {error:.{decimals}f}"


def _number(value: float | None, form: str) -> Cell:
    return Cell(_NOTHING) if value is None else Cell(form.format(value), value)


def _gain(entry: Entry, baseline: str) -> Cell:
    versus = entry.versus.get(baseline)
    if versus is None:
        return Cell(_NOTHING)
    error = versus.gain.standard_error
    text = f"{100 * versus.gain.value:+.2f} %" + ("" if error is None else f" ± {100 * error:.2f}")
    return Cell(text, versus.gain.value, error, versus.low, versus.high)


def _gain_interval(entry: Entry, baseline: str) -> Cell:
    versus = entry.versus.get(baseline)
    return Cell(_NOTHING) if versus is None else Cell(_between(versus.low, versus.high, "{:+.2f}"))


def _tally(entry: Entry, baseline: str, won: str, lost: str) -> Cell:
    versus = entry.versus.get(baseline)
    if versus is None or (won == "wins" and not versus.paired):
        return Cell(_NOTHING)
    return Cell(f"{getattr(versus, won)}, {getattr(versus, lost)}")


def _tokens(entry: Entry, baseline: str) -> Cell:
    found = entry.tokens_to_reach.get(baseline)
    if found is None:
        return Cell(_NOTHING)
    if found.tokens is None:
        return Cell(_never(found))
    return Cell(format_count(found.tokens), found.tokens)


def _never(found: Reach) -> str:
    return "never" if found.seeds else "not available"


def _saved(entry: Entry, baseline: str) -> Cell:
    found = entry.tokens_to_reach.get(baseline)
    if found is None or found.saved is None:
        return Cell(_NOTHING)
    between = "" if found.low is None else f" ({_between(found.low, found.high, '{:.0f}')})"
    return Cell(f"{100 * found.saved:.1f} %{between}", found.saved, None, found.low, found.high)


def _between(low: float | None, high: float | None, form: str) -> str:
    """`+3.1 to +7.9 %`, of shares."""
    if low is None or high is None:
        return _NOTHING
    return f"{form.format(100 * low)} to {form.format(100 * high)} %"
