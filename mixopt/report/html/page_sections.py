"""What the page says, section by section: the answer first, then what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from mixopt.methods.registry import method_named
from mixopt.report.html import figures, tables
from mixopt.report.html.comparison import comparison_section
from mixopt.report.html.joint import joint_section
from mixopt.report.html.online import online_section
from mixopt.report.html.scaling import scaling_section
from mixopt.report.html.search import search_section
from mixopt.report.html.section import Fact, Section
from mixopt.units import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixopt.report.html.gather import Gathered


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: of the window and above the page.
        subtitle: a line under it.
        sections: in order.
        config: the resolved study as YAML.
        recorded: when the last of its runs was recorded, in words.
        loss_units: of every loss.
    """

    title: str
    subtitle: str
    sections: list[Section]
    config: str
    recorded: str
    loss_units: str


def make_page(study: Gathered) -> Page:
    """Everything the page shows of a study."""
    made = [
        _answer(study),
        _question(study),
        _verification(study),
        *([scaling_section(study)] if study.recommendation else []),
        _fits(study),
        joint_section(study),
        search_section(study),
        *(comparison_section(comparison, number) for number, comparison in enumerate(study.comparisons)),
        online_section(study),
        _trained(study),
        _runs(study),
    ]
    recorded = max((run.row["created"] for run in study.runs), default=study.created)
    tokens = (study.recommendation or study.config).get("tokens")
    wanted = f" for {format_count(tokens)} tokens" if tokens else ""
    command = method_named(study.command).command_line
    return Page(
        title=f"Mixture of {len(study.domains)} domains{wanted}",
        subtitle=f"mixopt {command}, study {study.study_id}, {len(study.runs)} runs",
        sections=[section for section in made if section],
        config=yaml.safe_dump(study.config, sort_keys=False, allow_unicode=True),
        recorded=recorded[:16].replace("T", " ") + " UTC",
        loss_units=study.loss_units,
    )


def baselines(recommendation: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The mixtures that an answer is compared with, without repeats: `reference` is often uniform."""
    given = recommendation["details"].get("baselines") or {}
    kept: dict[str, dict[str, float]] = {}
    for name, weights in sorted(given.items(), key=lambda item: item[0] == "reference"):
        if all(max(abs(weights[d] - other[d]) for d in weights) > 5e-4 for other in kept.values()):
            kept[name] = weights
    return kept


def _answer(study: Gathered) -> Section:
    answer = study.recommendation
    if answer is None:
        finished = sum(run.row["status"] == "finished" for run in study.runs)
        text = (
            f"This study has no recommendation yet: {finished} of its {len(study.runs)} runs are finished. "
            "The same command goes on where it stood."
        )
        return Section("answer", "Answer", text)
    others = baselines(answer)
    units = answer["details"].get("units", answer["objective"])
    return Section(
        "answer",
        "Answer",
        f"{answer['method']}; objective {answer['objective']}; from {len(answer['runs'])} runs.",
        facts=_headline(study, others),
        warnings=list(answer["warnings"]),
        figures=[figures.mixture_figure(answer["weights"], answer["intervals"], others)],
        tables=[
            tables.weights_table(answer, others),
            *([tables.predictions_table(answer, list(others), units)] if answer["predicted"] else []),
        ],
        runs=tuple(answer["runs"]),
    )


def _headline(study: Gathered, others: Mapping[str, Any]) -> list[Fact]:
    """The few numbers to remember."""
    answer, verified = study.recommendation or {}, study.verification
    facts = []
    for name in others:
        gain = answer["gains"].get(name)
        if gain:
            between = "" if gain["low"] is None else f"{100 * gain['low']:+.1f} to {100 * gain['high']:+.1f} %"
            facts.append(Fact(f"predicted gain over {name}", f"{100 * gain['value']:+.1f} %", between))
        part = verified["mixtures"].get(name) if verified else None
        if part and part["gain_measured"]:
            found = part["gain_measured"]
            error = found["standard_error"]
            bar = f"± {100 * error:.2g} (standard error), " if error is not None else ""
            count = len(found["seeds"])
            facts.append(
                Fact(f"measured gain over {name}", f"{100 * found['value']:+.1f} %",
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
        f"{name.replace('_', ' ')} {optim[name]:g}"
        for name in ("lr", "batch_tokens")
        if optim.get(name) is not None
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
    scales = ((study.recommendation or {}).get("details") or {}).get("scales")
    asked = study.config.get("config", {}).get("method", {}).get("scales")
    totals = [scale["tokens"] for scale in scales] if scales else asked or [study.config["tokens"]]
    return ", ".join(format_count(tokens) for tokens in totals)


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
    units = study.objective.units
    return Section(
        "verification",
        "Verification",
        f"The recommended mixture and the baselines, trained for {format_count(verified['tokens'])} tokens each "
        "with the same seeds. Measured gains pair the seeds, so they are more exact than each value.",
        figures=[figures.verification_figure(verified, units)],
        tables=tables.verification_tables(study),
        runs=tuple(verified["runs"]),
    )


def _fits(study: Gathered) -> Section | None:
    details = (study.recommendation or {}).get("details") or {}
    domains = details.get("domains")
    if not domains or not all("curve" in part for part in domains.values()):
        return None
    noise = details.get("noise", {})
    how = (
        f"measured from repeats, {noise['degrees_of_freedom']} degrees of freedom"
        if noise.get("degrees_of_freedom")
        else "assumed, no run is repeated"
    )
    text = f"{details.get('law', '')}. "
    text += f"Noise of a run: {100 * noise.get('relative', 0):.2g} % of the objective ({how})."
    return Section(
        "fits",
        "Fitted laws",
        text,
        note=f"Up: {details.get('units', 'objective')}. Across: tokens of the domain in multiples of the base "
        "run's. Line and band: the law with its 95 % band. Points: measured, ± 1.96 standard deviations. Dashed: "
        "the recommended amount.",
        panels=figures.law_figures(study.recommendation or {}),
        tables=[tables.laws_table(study)],
    )


def _trained(study: Gathered) -> Section | None:
    drawn = [figures.curves_figure(study), figures.trained_figure(study.runs, study.domains)]
    found = [figure for figure in drawn if figure]
    return Section("curves", "Curves and mixtures", "", figures=found) if found else None


def _runs(study: Gathered) -> Section:
    text = "Every number above comes from these runs. A click on a run's id shows it by domain."
    return Section("runs", "Runs", text, tables=[tables.runs_table(study)])
