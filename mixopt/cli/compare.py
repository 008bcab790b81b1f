"""`mixopt compare`: mixtures beside one another, trained where that is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from mixopt.cli.common import (
    OUTPUT,
    CpusPerRun,
    Data,
    ExecutorKind,
    GpusPerRun,
    MaxEpochs,
    Model,
    ObjectiveName,
    Plots,
    QuietFlag,
    RayAddress,
    Results,
    Settings,
    Track,
    flag,
    study_flags,
)

_Word = TypeVar("_Word", bound=str)


def compare(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MIXTURE|RUN|STUDY.yaml",
            help="Mixtures (uniform, natural, FILE, a published name, ddo:STUDY, autoscale:STUDY), online policies"
            " (ado, ado:paper, module:Class; @uniform for another prior), runs by the start of their id, and a"
            " study file; NAME=… to name one [uniform, natural, what studies recommend].",
        ),
    ] = None,
    data: Data = None,
    model: Model = None,
    tokens: Annotated[str | None, flag("--tokens", "Training tokens of each run [the study's].")] = None,
    seeds: Annotated[int, flag("--seeds", "Runs of each mixture [3].")] = 3,
    baseline: Annotated[
        list[str] | None, flag("--baseline", "What to compare with (repeatable) [uniform, natural].")
    ] = None,
    objective: ObjectiveName = None,
    metric: Annotated[str, flag("--metric", "perplexity, or bits-per-byte (across tokenizers).")] = "perplexity",
    tasks: Annotated[
        list[str] | None,
        flag("--tasks", "Downstream tasks to evaluate on where scores are missing, as `mixopt eval` has them."),
    ] = None,
    max_epochs: MaxEpochs = None,
    settings: Settings = None,
    executor: ExecutorKind = None,
    ray_address: RayAddress = None,
    cpus_per_run: CpusPerRun = None,
    gpus_per_run: GpusPerRun = None,
    results: Results = None,
    track: Track = None,
    no_train: Annotated[bool, flag("--no-train", "Compare only what the table has.", OUTPUT)] = False,
    form: Annotated[str, flag("--format", "terminal, markdown, csv, latex or json.", OUTPUT)] = "terminal",
    out: Annotated[
        Path | None, flag("--out", "Folder of tables and pictures [RESULTS/comparisons/ID].", OUTPUT)
    ] = None,
    plots: Plots = True,
    quiet: QuietFlag = False,
) -> None:
    """Compare mixtures: losses by domain, gains by paired seeds, and the tokens that each saves.

    Trains what the results table does not have (three seeds of each mixture), then prints one table: average, worst
    and each domain's perplexity with standard errors, gains over the baselines, and how many fewer tokens reach a
    baseline's final value. Runs that are there need no data: name them by the start of their ids. Downstream scores
    that all runs have are shown too; with `--tasks` those that are missing are measured, from kept models.

    Example: `mixopt compare uniform doremi=mix.yaml ado ddo:3fa9 --tokens 3.2M --seeds 3 study.yaml`
    """
    import sys

    from rich.console import Console

    from mixopt.comparison import METRICS
    from mixopt.execute.base import Quiet
    from mixopt.report.compare_formats import FORMATS, render, save_comparison
    from mixopt.report.progress import Live
    from mixopt.study import Study, StudyConfig
    from mixopt.study.compare.compare import Question
    from mixopt.study.compare.compare import compare as run_comparison
    from mixopt.units import parse_count

    study_file, contenders = _split_study(words or [])
    question = Question(
        contenders=tuple(contenders),
        tokens=None if tokens is None else parse_count(tokens, "--tokens"),
        seeds=seeds,
        baselines=tuple(baseline or ()),
        metric=_choice("--metric", metric, METRICS),
        train=not no_train,
    )
    chosen = _choice("--format", form, FORMATS)
    names = [name for word in tasks for name in word.split(",")] if tasks else None
    study = Study.of(StudyConfig.load(study_file, study_flags(locals(), evaluation__tasks=names)))
    comparison = run_comparison(study, question, Quiet() if quiet else Live(Console(stderr=True)))
    folder = out or Path(study.config.results) / "comparisons" / comparison.id
    files = save_comparison(comparison, folder, plots)
    sys.stdout.write(render(comparison, chosen))
    if chosen == "terminal":
        typer.echo("\n" + "\n".join(f"wrote {file}" for file in files))


def _choice(what: str, found: str, known: Sequence[_Word]) -> _Word:
    from mixopt.errors import ConfigError

    for one in known:
        if one == found:
            return one
    raise ConfigError(f"{what}: expected {', '.join(known)}, found {found!r}")


def _split_study(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The study file among the words, and the other words.

    Raises:
        ConfigError: there are two study files.
    """
    from mixopt.errors import ConfigError

    studies = [word for word in words if _is_study(word)]
    if len(studies) > 1:
        raise ConfigError(f"expected one study file, found {' and '.join(studies)}")
    return (studies[0] if studies else None), [word for word in words if word not in studies]


def _is_study(word: str) -> bool:
    """Whether `word` is a YAML file with the sections of a study; a file of weights has numbers instead."""
    import yaml

    from mixopt.study import StudyConfig

    path = Path(word)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False  # as a mixture it gives its one line of error
    if not isinstance(content, dict) or "weights" in content:
        return False
    numbers = all(isinstance(value, int | float) for value in content.values())
    return not numbers and any(key in StudyConfig.model_fields for key in content)
