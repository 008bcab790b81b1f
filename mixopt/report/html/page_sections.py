"""What the page says, section by section: the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from mixopt.errors import ConfigError
from mixopt.methods.registry import method_named
from mixopt.report import online
from mixopt.report.comparison import comparison_figures, comparison_tables, notes
from mixopt.report.html.plotly import Plot, plots
from mixopt.report.html.study_figures import curves_figure, runs_table, trained_figure
from mixopt.report.recommendation import answer_tables, baselines_of, mixture_figure
from mixopt.report.verification import losses_table, verification_figure, verification_table
from mixopt.role import Role
from mixopt.units import format_count

if TYPE_CHECKING:
    from mixopt.comparison import Comparison
    from mixopt.display.figure import Figure
    from mixopt.display.table import Table
    from mixopt.methods.base import Recommendation
    from mixopt.report.html.gather import Gathered


@dataclass(frozen=True)
class Fact:
    """A name, what it is, and a remark."""

    label: str  # the name
    value: str  # what it is
    remark: str = ""  # in small letters below
    kind: str = ""  # `measured` for what was trained and not predicted


@dataclass(frozen=True)
class Drawing:
    """A figure in the page: its plots, below one another if there is one or they are wide, else side by side."""

    figure: Figure
    plots: list[Plot]

    @property
    def small(self) -> bool:
        """Whether its plots stand side by side."""
        return len(self.plots) > 1 and not self.figure.wide


@dataclass(frozen=True)
class Section:
    """A section; every text is plain."""

    name: str  # identifier in the page
    title: str  # its head
    text: str  # a paragraph under it
    facts: list[Fact] = field(default_factory=list)  # large numbers
    grid: list[Fact] = field(default_factory=list)  # names and values
    warnings: list[str] = field(default_factory=list)  # what should make a reader careful
    figures: list[Figure] = field(default_factory=list)  # one below the other
    tables: list[Table] = field(default_factory=list)  # one below the other
    runs: tuple[str, ...] = ()  # ids of the runs that the section rests on

    @property
    def drawings(self) -> list[Drawing]:
        """Every figure of it."""
        return [Drawing(figure, plots(figure)) for figure in self.figures]


@dataclass(frozen=True)
class Page:
    """A page."""

    title: str  # of the window and above the page
    subtitle: str  # a line under it
    sections: list[Section]  # in order
    config: str  # the resolved study as YAML
    recorded: str  # when the last of its runs was recorded, in words
    loss_units: str  # of every loss


def make_page(study: Gathered) -> Page:
    """Everything the page shows of a study."""
    made = [
        _answer(study),
        _question(study),
        _verification(study),
        _evidence(study),
        *(_comparison(comparison, number) for number, comparison in enumerate(study.comparisons)),
        _online(study),
        _trained(study),
        _runs(study),
    ]
    recorded = max((run.row["created"] for run in study.runs), default=study.created)
    tokens = study.recommendation.tokens if study.recommendation else study.config.get("tokens")
    wanted = f" for {format_count(tokens)} tokens" if tokens else ""
    return Page(
        title=f"Mixture of {len(study.domains)} domains{wanted}",
        subtitle=f"mixopt {_command(study.command)}, study {study.study_id}, {len(study.runs)} runs",
        sections=[section for section in made if section],
        config=yaml.safe_dump(study.config, sort_keys=False, allow_unicode=True),
        recorded=recorded[:16].replace("T", " ") + " UTC",
        loss_units=study.loss_units,
    )


def _command(name: str) -> str:
    """How a study was run; of `train` and the like, whose studies have no method, that command."""
    try:
        return method_named(name).command_line
    except ConfigError:
        return name


def _answer(study: Gathered) -> Section:
    answer = study.recommendation
    if answer is None:
        finished = sum(run.row["status"] == "finished" for run in study.runs)
        text = (
            f"This study has no recommendation yet: {finished} of its {len(study.runs)} runs are finished. "
            "The same command goes on where it stood."
        )
        return Section("answer", "Answer", text)
    return Section(
        "answer",
        "Answer",
        f"{answer.method}; objective {answer.objective}; from {len(answer.runs)} runs.",
        facts=_headline(study, answer),
        warnings=list(answer.warnings),
        figures=[mixture_figure(answer)],
        tables=answer_tables(answer),
        runs=answer.runs,
    )


def _headline(study: Gathered, answer: Recommendation) -> list[Fact]:
    """The few numbers to remember."""
    facts = []
    for name in baselines_of(answer):
        gain = answer.gains.get(name)
        if gain:
            between = ""
            if gain.low is not None and gain.high is not None:
                between = f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f} %"
            facts.append(Fact(f"predicted gain over {name}", f"{100 * gain.value:+.1f} %", between))
        part = study.verification.mixtures.get(name) if study.verification else None
        if part and part.gain_measured:
            found = part.gain_measured
            error = found.standard_error
            bar = f"± {100 * error:.2g} (standard error), " if error is not None else ""
            count = len(found.seeds)
            facts.append(
                Fact(f"measured gain over {name}", f"{100 * found.value:+.1f} %",
                     f"{bar}{count} seed{'s' if count != 1 else ''}", "measured")
            )  # fmt: skip
    return facts


def _question(study: Gathered) -> Section:
    config = study.config
    asked: dict[str, Any] = config.get("config", {})
    method, model, optim = asked.get("method", {}), config.get("model", {}), config.get("optim", {})
    parameters = {run.row["parameters"] for run in study.runs}
    size = f", {format_count(max(parameters))} parameters" if parameters else ""
    shape = ", ".join(f"{name} {model[name]}" for name in ("layers", "width", "heads", "context") if name in model)
    steps = ", ".join(
        f"{name.replace('_', ' ')} {optim[name]:g}" for name in ("lr", "batch_tokens") if optim.get(name) is not None
    )
    names = ", ".join(study.domains)
    given = [
        Fact("data", asked.get("data", {}).get("dir", ""), f"{len(study.domains)} domains: {names}"),
        Fact("model", f"{asked.get('model', {}).get('preset', 'model')}{size}", shape),
        Fact("training", f"{_lengths(study)} tokens" if "tokens" in config else "", steps),
        Fact("objective", study.objective.name, f"{study.objective.units}, lower is better"),
        Fact("method", study.command, _settings(method)),
        Fact("data fingerprint", str(config.get("fingerprint", ""))[:12], "of tokens and tokenizer"),
    ]  # fmt: skip
    return Section("question", "Question", "", grid=[fact for fact in given if fact.value])


def _lengths(study: Gathered) -> str:
    """Tokens of the base run, at each scale where there are several."""
    asked = study.config.get("config", {}).get("method", {}).get("scales")
    lengths = {run.row["tokens"] for run in study.runs if any(role.kind == "base" for role in run.roles)}
    return ", ".join(format_count(tokens) for tokens in sorted(lengths) or asked or [study.config["tokens"]])


def _settings(method: Mapping[str, Any]) -> str:
    """The method's settings but those that say nothing: not given, or off."""
    return "; ".join(
        f"{key.replace('_', ' ')} {_setting(key, value)}"
        for key, value in method.items()
        if value is not None and value is not False and key not in ("name", "objective")
    )


def _setting(key: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_setting(key, one) for one in value)
    if key in ("scales", "target_tokens"):
        return format_count(value)
    if value is True:
        return "on"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _verification(study: Gathered) -> Section | None:
    verified = study.verification
    if verified is None:
        return None
    known = set(verified.runs)
    runs = {
        name: [run.run_id for run in study.runs if Role("verify", name) in run.roles and run.run_id in known]
        for name in verified.mixtures
    }
    return Section(
        "verification",
        "Verification",
        f"The recommended mixture and the baselines, trained for {format_count(verified.tokens)} tokens each "
        "with the same seeds. Measured gains pair the seeds, so they are more exact than each value.",
        figures=[verification_figure(verified, study.objective.units)],
        tables=[verification_table(verified, runs), losses_table(verified, study.loss_units)],
        runs=verified.runs,
    )


def _evidence(study: Gathered) -> Section | None:
    """What the answer rests on, as the method shows it."""
    answer, method = study.recommendation, study.method
    if answer is None or method is None:
        return None
    figures, tables = method.figures(answer), method.tables(answer)
    if not figures and not tables:
        return None
    return Section("evidence", "What the answer rests on", "", figures=figures, tables=tables)


def _comparison(comparison: Comparison, index: int) -> Section:
    seeds = len(comparison.seeds)
    prefix = f"comparison-{index}-"
    return Section(
        f"comparison-{index}",
        f"Comparison of {len(comparison.entries)} mixtures",
        f"Trained for {format_count(comparison.tokens)} tokens, {seeds} seed{'s' if seeds != 1 else ''}. Objective "
        f"{comparison.objective} ({comparison.units}), lower is better. "
        f"Baselines: {', '.join(comparison.baselines)}. {'; '.join(notes(comparison))}.",
        warnings=list(comparison.warnings),
        figures=comparison_figures(comparison, prefix),
        tables=comparison_tables(comparison, prefix),
        runs=tuple(run for entry in comparison.entries.values() for run in entry.runs),
    )


def _online(study: Gathered) -> Section | None:
    """What online policies did; None for a study without."""
    runs = study.online
    if not runs:
        return None
    names = sorted({run.trace.policy for run in runs})
    return Section(
        "online",
        "Online",
        f"Policies that chose the mixture while they trained: {', '.join(names)}.",
        figures=online.page_figures(runs),
        tables=online.page_tables(runs),
        runs=tuple(run.run_id for run in runs),
    )


def _trained(study: Gathered) -> Section | None:
    drawn = [curves_figure(study), trained_figure(study)]
    found = [figure for figure in drawn if figure]
    return Section("curves", "Curves and mixtures", "", figures=found) if found else None


def _runs(study: Gathered) -> Section:
    text = "Every number above comes from these runs. A click on a run's id shows it by domain."
    return Section("runs", "Runs", text, tables=[runs_table(study)])
