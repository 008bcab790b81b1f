"""A comparison as tables, a section each, and as figures: made once, shown in every format and in the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from mixopt.display.colours import INK, Look, looks_of
from mixopt.display.figure import Axis, Bars, Figure, Line, Panel, Points, Rule
from mixopt.display.table import (
    NOTHING,
    Cell,
    Column,
    Kind,
    Table,
    interval,
    named,
    number,
    runs_cell,
    table,
    with_error,
    word,
)
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.comparison import Comparison, DomainScore, Entry, Measured

ONLY_MEASURED = "†"

Row = tuple[str, str, "list[Cell]"]
"""Section, label, a cell for each mixture."""


def comparison_tables(comparison: Comparison, prefix: str = "") -> list[Table]:
    """A table a section, a row a quantity, a column a mixture: averages, gains, tokens to reach, tasks, domains."""
    sections: dict[str, list[list[Cell]]] = {}
    for rows in (_averages, _against, _by_task, _by_domain, _weights):
        for section, label, cells in rows(comparison):
            sections.setdefault(section, []).append([word(label), *cells])
    columns = [Column(""), *named(comparison.entries)]
    return [table(f"{prefix}{index}", section, columns, rows) for index, (section, rows) in enumerate(sections.items())]


def headline(comparison: Comparison) -> str:
    """What is compared, in one line."""
    counts = sorted({entry.tokens for entry in comparison.entries.values()})
    seeds = sorted({len(entry.seeds) for entry in comparison.entries.values()})
    tokens = " to ".join(dict.fromkeys(format_count(count) for count in (counts[0], counts[-1])))
    many = " to ".join(dict.fromkeys(str(count) for count in (seeds[0], seeds[-1])))
    return (
        f"{len(comparison.entries)} mixtures, {tokens} tokens, {many} seed{'' if many == '1' else 's'}; "
        f"objective {comparison.objective}"
    )


def notes(comparison: Comparison) -> Iterator[str]:
    """How to read it, a sentence each."""
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
        yield _measured_row(section, "bits per byte", [entry.mean_bits_per_byte for entry in entries])
        worst = [entry.domains[entry.worst.domain].bits_per_byte for entry in entries]
    yield _measured_row(section, "worst domain", worst)
    yield section, "which is", [word(entry.worst.domain) for entry in entries]
    yield section, "from", [runs_cell(entry.runs) for entry in entries]


def _against(comparison: Comparison) -> Iterator[Row]:
    for baseline in comparison.baselines:
        rows: list[tuple[str, Callable[[Entry, str], Cell]]] = [
            ("gain", _gain),
            ("95 % interval", _gain_interval),
            ("seeds won, lost", lambda entry, of: _tally(entry, of, "wins", "losses")),
            ("domains won, lost", lambda entry, of: _tally(entry, of, "domain_wins", "domain_losses")),
            ("tasks won, lost", lambda entry, of: _tally(entry, of, "task_wins", "task_losses")),
            ("tokens to reach its end", _tokens),
            ("tokens saved", _saved),
        ]
        for label, cell in rows:
            if label != "tasks won, lost" or comparison.entries[baseline].tasks:
                yield f"Against {baseline}", label, [cell(entry, baseline) for entry in comparison.entries.values()]


def _by_task(comparison: Comparison) -> Iterator[Row]:
    section, entries = "Downstream", list(comparison.entries.values())
    for name, first in entries[0].tasks.items():
        chance = "" if first.chance is None else f", chance {first.chance:.3g}"
        lower = "" if first.higher_is_better else ", lower is better"
        scores = [entry.tasks[name].score for entry in entries]
        label = f"{name} ({first.metric}{chance}{lower})"
        yield _measured_row(section, label, scores, greatest=first.higher_is_better)
    means = [entry.task_mean for entry in entries]
    if any(means) and len(entries[0].tasks) > 1:
        yield _measured_row(section, "average", means, greatest=True)


def _by_domain(comparison: Comparison) -> Iterator[Row]:
    def rows(section: str, part: Callable[[DomainScore], Measured | None]) -> Iterator[Row]:
        for domain in _domains(comparison):
            scores = [part(entry.domains[domain]) for entry in comparison.entries.values()]
            yield _measured_row(section, _label(comparison, domain), scores)

    if comparison.metric == "perplexity":
        yield from rows("Perplexity", lambda score: score.ppl)
        yield from rows(f"Loss, {comparison.loss_units}", lambda score: score.loss)
    else:
        yield from rows("Bits per byte", lambda score: score.bits_per_byte)


def _domains(comparison: Comparison) -> list[str]:
    """Evaluation domains."""
    return list(next(iter(comparison.entries.values())).domains)


def _label(comparison: Comparison, domain: str) -> str:
    trained = any(entry.domains[domain].trained for entry in comparison.entries.values())
    return domain if trained else f"{domain} {ONLY_MEASURED}"


def _weights(comparison: Comparison) -> Iterator[Row]:
    entries = list(comparison.entries.values())
    if any(entry.policy != "static" for entry in entries):
        told = ["fixed" if entry.policy == "static" else f"mean of {entry.policy}" for entry in entries]
        yield "Weight", "which is", [word(text) for text in told]
    for domain in _weighted(comparison):
        yield "Weight", domain, [number(entry.weights.get(domain), "{:.3f}") for entry in entries]
    for domain in _domains(comparison):
        epochs = [entry.domains[domain].epochs for entry in entries]
        if max(epochs) > 1:
            yield "Epochs, where above 1", domain, [number(value, "{:.2f}") for value in epochs]


def _weighted(comparison: Comparison) -> list[str]:
    """Training domains of any mixture."""
    return list(dict.fromkeys(domain for entry in comparison.entries.values() for domain in entry.weights))


def _measured_row(section: str, label: str, values: Sequence[Measured | None], *, greatest: bool = False) -> Row:
    """Numbers of which the lowest is best, or the greatest."""
    known = [part.value for part in values if part is not None]
    best = (max if greatest else min)(known) if len(known) > 1 else None
    return section, label, [measured(p, kind="strong" if p and p.value == best else "") for p in values]


def measured(found: Measured | None, form: str | None = None, scale: float = 1.0, kind: Kind = "") -> Cell:
    """A mean over seeds with its standard error, as `with_error` has it; its seeds are the title."""
    if found is None:
        return NOTHING
    seeds = ", ".join((form or "{:.5g}").format(seed * scale) for seed in found.seeds)
    return Cell(
        text=with_error(found.value, found.standard_error, form, scale), value=found.value, key=found.value,
        error=found.standard_error, kind=kind, title=f"seeds: {seeds}",
    )  # fmt: skip


def _gain(entry: Entry, baseline: str) -> Cell:
    versus = entry.versus.get(baseline)
    if versus is None:
        return NOTHING
    gain, error = versus.gain, versus.gain.standard_error
    text = f"{100 * gain.value:+.2f} %" + ("" if error is None else f" ± {100 * error:.2f}")
    sure = "good" if (versus.low or 0.0) > 0 else "bad" if versus.high is not None and versus.high < 0 else ""
    return Cell(
        text=text, value=gain.value, key=gain.value, error=error, low=versus.low, high=versus.high, kind=sure,
        title=f"seeds: {', '.join(f'{100 * seed:+.2f} %' for seed in gain.seeds)}",
    )  # fmt: skip


def _gain_interval(entry: Entry, baseline: str) -> Cell:
    versus = entry.versus.get(baseline)
    return NOTHING if versus is None else interval(versus.low, versus.high, "{:+.2f}", 100, " %")


def _tally(entry: Entry, baseline: str, won: str, lost: str) -> Cell:
    versus = entry.versus.get(baseline)
    if versus is None or (won == "wins" and not versus.paired):
        return NOTHING
    return Cell(text=f"{getattr(versus, won)}, {getattr(versus, lost)}", key=float(getattr(versus, won)))


def _tokens(entry: Entry, baseline: str) -> Cell:
    found = entry.tokens_to_reach.get(baseline)
    if found is None:
        return NOTHING
    if found.tokens is None:
        return Cell(text="never" if found.seeds else "not available", title=found.reason or "")
    return Cell(text=format_count(found.tokens), value=found.tokens, key=found.tokens)


def _saved(entry: Entry, baseline: str) -> Cell:
    found = entry.tokens_to_reach.get(baseline)
    if found is None or found.saved is None:
        return NOTHING
    between = "" if found.low is None or found.high is None else f" ({100 * found.low:.0f} to {100 * found.high:.0f} %)"
    return Cell(
        text=f"{100 * found.saved:.1f} %{between}", value=found.saved, key=found.saved, low=found.low, high=found.high
    )


def comparison_figures(comparison: Comparison, prefix: str = "") -> list[Figure]:
    """Curves with the tokens saved (where there are curves), the objective by run, gains by domain, mixtures.

    Arguments as for `comparison_tables`.
    """
    others = any(entry.versus.get(comparison.baseline) for entry in comparison.entries.values())
    return [
        *([curves_figure(comparison, prefix)] if any(e.curve for e in comparison.entries.values()) else []),
        objective_figure(comparison, prefix),
        *([gains_figure(comparison, prefix)] if others else []),
        mixtures_figure(comparison, prefix),
    ]


def curves_figure(comparison: Comparison, prefix: str = "") -> Figure:
    """The objective against tokens: mean and range over seeds, and where each reaches the main baseline's end."""
    looks, baseline = looks_of(comparison.entries), comparison.baseline
    end = comparison.entries[baseline].objective.value
    marks: list[Line | Points | Rule] = []
    shown, totals = [], []
    for name, entry in comparison.entries.items():
        if entry.curve is None:
            continue
        columns = list(zip(*entry.curve.values, strict=True))
        means = [math.fsum(values) / len(values) for values in columns]
        reach = entry.tokens_to_reach.get(baseline)
        there = reach is not None and reach.tokens is not None
        marks.append(
            Line(name=name + (f": {_fewer(entry, baseline)}" if there else ""), look=looks[name], about=name,
                 x=entry.curve.tokens, y=means, low=[*map(min, columns)], high=[*map(max, columns)])
        )  # fmt: skip
        if reach is not None and reach.tokens is not None:
            at = reach.tokens
            marks += [
                Rule(x=at, look=Look(looks[name].colour, "dot")),
                Points(look=looks[name], x=[at], y=[end], about=f"{name} reaches the end of {baseline}"),
            ]
        # The first steep fall would leave no room for differences: the axis starts where some of it is trained.
        late = [mean for at, mean in zip(entry.curve.tokens, means, strict=True) if at >= 0.15 * entry.curve.tokens[-1]]
        shown += [min(map(min, columns)), max(late)]
        totals.append(entry.tokens)
    if any(isinstance(mark, Rule) for mark in marks):
        marks.append(Rule(name=f"{baseline} ends at {end:.4g}", look=Look("ink", "dash"), y=end))
    pad = 0.05 * (max(shown) - min(shown))
    return Figure(
        name=f"{prefix}curves",
        title="While training",
        panels=[
            Panel(
                marks=marks,
                x=Axis(label="training tokens", scale="log", counts=True,
                       limits=(0.14 * min(totals), 1.06 * max(totals))),
                y=Axis(label=f"{comparison.objective} ({comparison.units})",
                       limits=(min(shown) - pad, max(shown) + pad)),
            )
        ],
        note=f"Mean and range over seeds. Dots: where a mixture is as good as {baseline} is at its end.",
        size=(7.6, 4.4),
        legend="top",
    )  # fmt: skip


def _fewer(entry: Entry, baseline: str) -> str:
    """`25 % (20 to 31) fewer tokens`."""
    reach = entry.tokens_to_reach[baseline]
    assert reach.saved is not None
    between = ""
    if reach.low is not None and reach.high is not None:
        between = f" ({100 * reach.low:.0f} to {100 * reach.high:.0f})"
    return f"{100 * abs(reach.saved):.0f} %{between} {'fewer' if reach.saved >= 0 else 'more'} tokens"


def objective_figure(comparison: Comparison, prefix: str = "") -> Figure:
    """A row a mixture: each run's objective, and their mean with its error."""
    looks, entries = looks_of(comparison.entries), comparison.entries
    marks = []
    for row, (name, entry) in enumerate(entries.items()):
        found = entry.objective
        bar = 1.96 * (found.standard_error or 0.0)
        runs = [[run] for run in entry.runs] if len(entry.runs) == len(found.seeds) else []
        marks += [
            Points(look=INK, x=found.seeds, y=[row] * len(found.seeds), symbol="open", faint=True, about=name,
                   say="{x:.5g}", runs=runs),
            Points(look=looks[name], x=[found.value], y=[row], low=[found.value - bar], high=[found.value + bar],
                   across=True, size=6, about=name, say="{x:.5g}"),
        ]  # fmt: skip
    return Figure(
        name=f"{prefix}objective",
        title=f"Objective: {comparison.objective}",
        panels=[
            Panel(
                marks=marks, x=Axis(label=f"{comparison.objective} ({comparison.units})"), y=Axis(rows=tuple(entries))
            )
        ],
        note="Filled: mean over seeds ± 1.96 standard errors. Open: each run; a click leads to it. Lower is better.",
        size=(7.2, 0.9 + 0.32 * len(entries)),
    )


def gains_figure(comparison: Comparison, prefix: str = "") -> Figure:
    """A panel a mixture: the relative gain over the main baseline in each domain, with its standard error."""
    baseline, looks = comparison.baseline, looks_of(comparison.entries)
    rows = (comparison.objective, *(_label(comparison, domain) for domain in _domains(comparison)))
    bars = {}
    for name, entry in comparison.entries.items():
        if name == baseline:
            continue
        versus = entry.versus[baseline]
        parts = [versus.gain, *(versus.domains[domain] for domain in _domains(comparison))]
        gains, errors = [100 * part.value for part in parts], [100 * (part.standard_error or 0.0) for part in parts]
        bars[name] = Bars(
            look=looks[name], x=gains, low=[g - e for g, e in zip(gains, errors, strict=True)],
            high=[g + e for g, e in zip(gains, errors, strict=True)], texts=[f"{gain:+.1f}" for gain in gains],
            about=[f"{name}: {row}" for row in rows], say="{x:+.2f} %",
        )  # fmt: skip
    limit = 1.45 * max(abs(float(end or 0.0)) for bar in bars.values() for end in (*bar.low, *bar.high)) or 1.0
    what = "perplexity" if comparison.metric == "perplexity" else "bits per byte"
    return Figure(
        name=f"{prefix}gains",
        title=f"Against {baseline}, by domain",
        panels=[
            Panel(marks=[Rule(x=0.0), bar], title=name, x=Axis(limits=(-limit, limit)), y=Axis(rows=rows))
            for name, bar in bars.items()
        ],
        note=f"% lower {what} than {baseline}, ± one standard error. To the right: better than it.",
        size=(2.9, 0.6 + 0.25 * len(rows)),
        below=f"gain over {baseline}, % lower {what} (± one standard error)",
    )


def mixtures_figure(comparison: Comparison, prefix: str = "") -> Figure:
    """A panel a mixture: the weight of each domain."""
    looks, domains = looks_of(comparison.entries), _weighted(comparison)
    top = 1.3 * max(max(entry.weights.values()) for entry in comparison.entries.values())
    panels = []
    for name, entry in comparison.entries.items():
        weights = [entry.weights.get(domain, 0.0) for domain in domains]
        bars = Bars(look=looks[name], x=weights, texts=[f"{weight:.3f}" for weight in weights], say="{x:.4f}",
                    about=[f"{name}: {domain}" for domain in domains])  # fmt: skip
        panels.append(Panel(marks=[bars], title=name, x=Axis(limits=(0.0, top)), y=Axis(rows=tuple(domains))))
    return Figure(
        name=f"{prefix}mixtures",
        title="Mixtures",
        panels=panels,
        size=(2.9, 0.6 + 0.25 * len(domains)),
        below="share of training tokens",
    )
