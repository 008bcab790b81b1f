"""What commands that train proxies share: their flags, their plan, where they say what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mixopt.trackers import TRACKERS

if TYPE_CHECKING:
    from rich.console import Console

    from mixopt.execute.base import Job
    from mixopt.methods.base import Searcher
    from mixopt.study import Study

STUDY, WHERE, OUTPUT = "The study", "Where it runs", "Output"


def flag(names: str, text: str, panel: str = STUDY, *, hidden: bool = False) -> Any:
    """A flag with its help, in a panel; its default is the study file's.

    A hidden one is taken, and left out of the help: few people set it, and the study file has it too.
    """
    return typer.Option(*names.split(), help=text, rich_help_panel=panel, show_default=False, hidden=hidden)


StudyFile = Annotated[str | None, typer.Argument(metavar="STUDY.yaml", help="A study file (`mixopt init` writes one).")]
Data = Annotated[str | None, flag("--data", "Folder of prepared data.")]
Model = Annotated[str | None, flag("--model", "Preset of the proxy model, such as gpt2-0.4m.")]
TrainedModel = Annotated[str | None, flag("--model", "Preset of the model, such as gpt2-124m.")]
TargetTokens = Annotated[
    str | None, flag("--tokens", "Training tokens, such as 10M [method.target_tokens, or the study's].")
]
TargetSeeds = Annotated[int, flag("--seeds", "Runs, each with another seed [1].")]
OBJECTIVES = "mean_ppl, mean_loss, worst, task:NAME, downstream or weighted:FILE."
ObjectiveName = Annotated[str | None, flag("--objective", OBJECTIVES)]
MaxEpochs = Annotated[float | None, flag("--max-epochs", "Most repetitions of a domain's tokens.", hidden=True)]
Settings = Annotated[list[str] | None, flag("--set", "Any key of a study file: --set model.layers=6 (repeatable).")]
ExecutorKind = Annotated[str | None, flag("--executor", "ray, or inline (one run at a time).", WHERE, hidden=True)]
RayAddress = Annotated[str | None, flag("--ray-address", "A Ray cluster, host:port.", WHERE, hidden=True)]
CpusPerRun = Annotated[int | None, flag("--cpus-per-run", "CPUs, and threads, of a run.", WHERE, hidden=True)]
GpusPerRun = Annotated[float | None, flag("--gpus-per-run", "GPUs of a run, or a share of one.", WHERE, hidden=True)]
ProcessesPerRun = Annotated[
    int | None,
    flag(
        "--processes-per-run",
        "Data-parallel processes of a run, each with these CPUs and GPUs; --set executor.sharding=fsdp splits"
        " the model over them.",
        WHERE,
        hidden=True,
    ),
]
Results = Annotated[str | None, flag("--results", "Folder of the results table.", WHERE)]
Track = Annotated[
    list[str] | None,
    flag("--track", f"Show finished runs in {TRACKERS.offer} as well (repeatable).", WHERE, hidden=True),
]
Keep = Annotated[bool, flag("--keep", "Keep the trained model, for from_pretrained.", OUTPUT)]
Plots = Annotated[bool, flag("--plots/--no-plots", "Draw pictures.", OUTPUT)]
DryRun = Annotated[bool, flag("--dry-run", "Print the plan and its cost; train nothing.", OUTPUT)]
Verify = Annotated[
    bool,
    flag("--verify", "Train the recommended mixture and the baselines with three fresh seeds, and compare.", OUTPUT),
]
QuietFlag = Annotated[bool, flag("--quiet -q", "No progress.", OUTPUT)]
AsJson = Annotated[bool, flag("--json", "Print one JSON object on standard output.", OUTPUT)]


# Where the parameters above stand in a study file.
_KEYS = {
    "data": "data.dir",
    "model": "model.preset",
    "max_epochs": "training.max_epochs",
    "executor": "executor.kind",
    "ray_address": "executor.ray_address",
    "cpus_per_run": "executor.cpus_per_run",
    "gpus_per_run": "executor.gpus_per_run",
    "processes_per_run": "executor.processes_per_run",
    "results": "results",
    "objective": "method.objective",
}


def study_flags(given: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """Values by dotted key of a study file, None for those not given.

    Args:
        given: a command's parameters by name (`locals()`); those that are no keys of a study are left.
        others: keys of the command's own, with `__` for the dot.

    Raises:
        ConfigError: a `--set` that is not KEY=VALUE.
    """
    flags = {key: given[name] for name, key in _KEYS.items() if name in given}
    flags |= {key.replace("__", "."): value for key, value in others.items()}
    # An empty list is what is there when nobody says anything.
    flags["tracking.to"] = given.get("track") or None
    flags["executor.keep_checkpoints"] = given.get("keep") or None
    return flags | parse_settings(given.get("settings"))


def parse_settings(pairs: list[str] | None) -> dict[str, Any]:
    """`model.layers=6` and the like, each value read as YAML.

    Raises:
        ConfigError: one of them is not KEY=VALUE.
    """
    import yaml

    from mixopt.errors import ConfigError

    found: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set: expected KEY=VALUE such as model.layers=6, found {pair!r}")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: {value!r} is not a YAML value") from error
    return found


def method_in(path: str) -> str | None:
    """The method that a study file names; None where it names none, or cannot be read (which is told later)."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    section = content.get("method") if isinstance(content, dict) else None
    name = section.get("name") if isinstance(section, dict) else section
    return name if isinstance(name, str) else None


def print_dry_run(study: Study, searcher: Searcher, *, as_json: bool) -> None:
    """The runs that `searcher` asks for first and what they cost; nothing is trained or written."""
    from mixopt.history import empty_history
    from mixopt.study.loop import plan_runs

    if not as_json:
        for line in study.method.outlook(searcher):
            typer.echo(line)
    print_cost(study, plan_runs(study, searcher.ask(empty_history())), as_json=as_json)


def print_cost(study: Study, runs: Sequence[Job], *, as_json: bool) -> None:
    """Runs that are known already and what they cost; nothing is trained or written."""
    from contextlib import nullcontext

    from mixopt.report.console import page
    from mixopt.report.verification import print_plan
    from mixopt.store import Store
    from mixopt.study.plan import plan_of

    there = (Path(study.config.results) / "mixopt.db").exists()
    opened = Store(study.config.results, read_only=True) if there else nullcontext()
    with opened as store, study.executor() as executor:
        plan = plan_of(study, runs, store, executor)
    if as_json:
        typer.echo(json.dumps(plan.to_dict()))
    else:
        print_plan(plan, page())


def print_files(files: list[Path], console: Console) -> None:
    """A line for each file that was written."""
    console.print()
    for file in files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)
