"""A comparison in the page: the table of its mixtures, their losses by domain, tokens to reach the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixopt.report.html.drawing import INK, SERIES, blank, figure, named_rows, plain, short_ids
from mixopt.report.html.section import Section
from mixopt.report.html.table import Cell, Table, measured, number, runs_cell, word
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.comparison import Comparison, Entry, Measured, Reach, Versus
    from mixopt.report.html.drawing import Figure


def comparison_section(comparison: Comparison, index: int) -> Section:
    """Everything about one comparison.

    Args:
        comparison: the comparison.
        index: which of the page's comparisons it is; makes names in the page distinct.
    """
    seeds = len(comparison.seeds)
    return Section(
        f"comparison-{index}",
        f"Comparison of {len(comparison.entries)} mixtures",
        f"Trained for {format_count(comparison.tokens)} tokens, {seeds} seed{'s' if seeds != 1 else ''}. Objective "
        f"{comparison.objective} ({comparison.units}), lower is better. "
        f"Baselines: {', '.join(comparison.baselines)}.",
        warnings=list(comparison.warnings),
        figures=[_objectives(comparison, index), *_by_domain(comparison, index)],
        tables=[
            _summary(comparison, index),
            *_tasks(comparison, index),
            _reach(comparison, index),
            _domains(comparison, index),
        ],
        runs=tuple(run for entry in comparison.entries.values() for run in entry.runs),
    )


def _cell(value: Measured | None, form: str = "{:.4g}", scale: float = 1.0, kind: str = "") -> Cell:
    return measured(vars(value) if value else None, form, scale, kind)


def _summary(comparison: Comparison, index: int) -> Table:
    columns = {
        "mixture": "",
        comparison.objective: f"mean over seeds ± standard error, {comparison.units}",
        f"gain over {comparison.baseline}": "relative improvement of the objective, seed by seed",
        "95 % interval": "of that gain",
        "wins : losses": "seeds with a lower objective than the baseline's, and with a higher one",
        "mean loss": comparison.loss_units,
        "mean perplexity": "",
        "worst domain": comparison.loss_units,
        "runs": "",
    }
    rows = []
    for name, entry in comparison.entries.items():
        versus = entry.versus.get(comparison.baseline)
        rows.append(
            [
                word(name, "strong" if name == comparison.baseline else ""),
                _cell(entry.objective),
                *_versus(versus),
                _cell(entry.mean_loss, "{:.4f}"),
                _cell(entry.mean_ppl),
                Cell(f"{entry.worst.domain} {entry.worst.loss.value:.3f}", entry.worst.loss.value),
                runs_cell(entry.runs),
            ]
        )
    return Table(f"comparison-{index}-summary", "Mixtures", columns, rows)


def _versus(versus: Versus | None) -> list[Cell]:
    if versus is None:
        return [Cell(""), Cell(""), Cell("")]
    sure = "good" if (versus.low or 0.0) > 0 else "bad" if versus.high is not None and versus.high < 0 else ""
    between = Cell("")
    if versus.low is not None and versus.high is not None:
        between = Cell(f"{100 * versus.low:+.2f} to {100 * versus.high:+.2f} %", versus.low)
    score = Cell(f"{versus.wins} : {versus.losses}", float(versus.wins)) if versus.paired else Cell("")
    return [_cell(versus.gain, "{:+.2f} %", 100, sure), between, score]


def _reach(comparison: Comparison, index: int) -> Table:
    columns = {"mixture": "", "reaches": "the baseline whose final value is reached",
               "after tokens": "", "tokens saved": "against the baseline's tokens", "95 % interval": "",
               "remark": ""}  # fmt: skip
    rows = [
        [word(name), word(baseline), *_reached(reach)]
        for name, entry in comparison.entries.items()
        for baseline, reach in entry.tokens_to_reach.items()
    ]
    name = f"comparison-{index}-reach"
    return Table(name, "Tokens to reach each baseline's final value", columns, rows, frozenset({0, 1, 5}))


def _reached(reach: Reach) -> list[Cell]:
    between = Cell("")
    if reach.low is not None and reach.high is not None:
        between = Cell(f"{100 * reach.low:.0f} to {100 * reach.high:.0f} %", reach.low)
    tokens = Cell("" if reach.tokens is None else format_count(reach.tokens), reach.tokens)
    return [
        tokens,
        number(reach.saved and 100 * reach.saved, "{:.0f} %"),
        between,
        word(reach.reason or "", "long"),
    ]


def _tasks(comparison: Comparison, index: int) -> list[Table]:
    """Downstream scores, the best of each task strong; nothing where not all runs were evaluated."""
    first = next(iter(comparison.entries.values())).tasks
    if not first:
        return []
    over = {task.over for entry in comparison.entries.values() for task in entry.tasks.values()}
    error = " or ".join(sorted(over, reverse=True))
    columns = {"task": "", "metric": "", "chance": "what guessing scores",
               **dict.fromkeys(comparison.entries, f"mean over seeds ± standard error over {error}")}  # fmt: skip
    rows = []
    for name, task in first.items():
        scores = [entry.tasks[name].score for entry in comparison.entries.values()]
        metric = task.metric if task.higher_is_better else f"{task.metric}, lower is better"
        cells = _scores(scores, greatest=task.higher_is_better)
        rows.append([word(name), word(metric), number(task.chance, "{:.3g}"), *cells])
    means = [entry.task_mean for entry in comparison.entries.values() if entry.task_mean is not None]
    if means and len(first) > 1:
        rows.append([word("average", "strong"), word(""), number(None, "{:.3g}"), *_scores(means, greatest=True)])
    won = [
        Cell(f"{one.task_wins} : {one.task_losses}", float(one.task_wins)) if one else Cell("")
        for one in (entry.versus.get(comparison.baseline) for entry in comparison.entries.values())
    ]
    rows.append([word(f"won : lost against {comparison.baseline}"), word(""), number(None, "{:.3g}"), *won])
    return [Table(f"comparison-{index}-tasks", "Downstream tasks", columns, rows, frozenset({0, 1}))]


def _scores(scores: list[Measured], *, greatest: bool) -> list[Cell]:
    best = (max if greatest else min)(score.value for score in scores)
    return [_cell(score, "{:.4f}", kind="strong" if score.value == best else "") for score in scores]


def _domains(comparison: Comparison, index: int) -> Table:
    bits = comparison.metric == "bits-per-byte"
    first = next(iter(comparison.entries.values()))
    units = comparison.loss_units
    heads = dict.fromkeys(comparison.entries, "bits per byte" if bits else f"validation loss, {units}")
    rows = []
    for domain, part in first.domains.items():
        row = [word(domain if part.trained else f"{domain} (only evaluated)")]
        for entry in comparison.entries.values():
            score = entry.domains.get(domain)
            row.append(_cell(score and (score.bits_per_byte if bits else score.loss), "{:.4f}"))
        rows.append(row)
    caption = f"By domain ({'bits per byte' if bits else units})"
    return Table(f"comparison-{index}-domains", caption, {"domain": "", **heads}, rows)


def _objectives(comparison: Comparison, index: int) -> Figure:
    entries = comparison.entries
    errors = [1.96 * (entry.objective.standard_error or 0.0) for entry in entries.values()]
    drawing = blank(110 + 30 * len(entries), showlegend=False)
    drawing.add_scatter(
        x=[seed for entry in entries.values() for seed in entry.objective.seeds],
        y=[row for row, entry in enumerate(entries.values()) for _ in entry.objective.seeds],
        mode="markers", marker={"color": INK, "size": 6, "opacity": 0.45, "symbol": "circle-open"}, meta="runs",
        customdata=[
            [plain(name), short_ids([run]), run]
            for name, entry in entries.items() for run in _of_seeds(entry)
        ],
        hovertemplate="%{customdata[0]}, run %{customdata[1]}<br>%{x:.5g}<extra></extra>",
    )  # fmt: skip
    drawing.add_scatter(
        x=[entry.objective.value for entry in entries.values()], y=list(range(len(entries))), mode="markers",
        marker={"size": 10, "color": [SERIES[row % 8] for row in range(len(entries))]},
        error_x={"type": "data", "array": errors, "color": INK, "thickness": 1.6},
        customdata=[plain(name) for name in entries], hovertemplate="%{customdata}<br>%{x:.5g}<extra></extra>",
    )  # fmt: skip
    named_rows(drawing, entries)
    drawing.update_xaxes(title=plain(f"{comparison.objective} ({comparison.units})"))
    note = "Filled: mean over seeds ± 1.96 standard errors. Open: each run; a click leads to it. Lower is better."
    return figure(f"comparison-{index}-objective", "Objective", note, drawing)


def _of_seeds(entry: Entry) -> list[str]:
    """A run for each value of the objective, none where they do not pair up."""
    count = len(entry.objective.seeds)
    return list(entry.runs) if len(entry.runs) == count else [""] * count


def _by_domain(comparison: Comparison, index: int) -> list[Figure]:
    """How much better than the main baseline each mixture is on each domain; nothing without one to compare."""
    others = [(name, entry.versus.get(comparison.baseline)) for name, entry in comparison.entries.items()]
    shown = [(name, versus) for name, versus in others if versus and versus.domains]
    if not shown:
        return []
    domains = list(shown[0][1].domains)
    drawing = blank(
        130 + (14 + 13 * len(shown)) * len(domains), barmode="group",
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
    )  # fmt: skip
    for position, (name, versus) in enumerate(shown):
        found = [versus.domains[domain] for domain in domains if domain in versus.domains]
        drawing.add_bar(
            x=[100 * gain.value for gain in found], y=list(range(len(found))), orientation="h",
            name=plain(name, 22),
            marker_color=SERIES[(position + 1) % 8],
            error_x={"type": "data", "array": [196 * (gain.standard_error or 0.0) for gain in found], "color": INK,
                     "thickness": 1.2, "width": 2},
            customdata=[[plain(domain), plain(name)] for domain in domains],
            hovertemplate="%{customdata[0]}, %{customdata[1]}<br>%{x:+.2f} %<extra></extra>",
        )  # fmt: skip
    named_rows(drawing, domains)
    unit = "bits per byte" if comparison.metric == "bits-per-byte" else "perplexity"
    drawing.update_xaxes(title=plain(f"% lower {unit} than {comparison.baseline}"), zeroline=True)
    note = "To the right: better than the baseline. Bars: ± 1.96 standard errors over seeds."
    return [figure(f"comparison-{index}-by-domain", f"Against {comparison.baseline}, by domain", note, drawing)]
