"""What pages tell people to type can be typed: commands, scripts, files, settings; and every command is told of."""

from __future__ import annotations

import copy
import re
import runpy
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml

from mixopt.cli import app
from mixopt.methods.registry import METHODS
from mixopt.study import StudyConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
# A changelog tells of what was.
PAGES = sorted(page for page in ROOT.rglob("*.md") if page.name != "CHANGELOG.md" and ".venv" not in page.parts)
STUDIES = sorted((ROOT / "experiments").glob("*.yaml"))
GROUP = typer.main.get_command(app)
MOST_OPTIONS = 16


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every `mixopt …` of a page or of a file's comments: lines of blocks, and between backquotes."""
    joined = re.sub(r"\\\n[ #]*", " ", text).replace("--method NAME", "--method gp")
    lines = re.findall(r"^[ $#]*(mixopt [a-z].*)", joined, flags=re.MULTILINE)
    return [
        shlex.split(re.split(r" #|;| && ", line)[0]) for line in [*lines, *re.findall(r"`(mixopt [a-z][^`]*)`", joined)]
    ]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words begin with, with the options of the method that they name; and the other words."""
    command, rest = GROUP, [word for word in words if word != "--help"]  # which would print it
    while rest and hasattr(command, "commands"):
        _, command, rest = command.resolve_command(command.make_context("mixopt", [], resilient_parsing=True), rest)
    return command, rest


def parse(words: list[str]) -> None:
    """Let a command line be parsed, and nothing be run; a page may leave out what a command needs."""
    command, rest = command_of(words[1:])
    if not hasattr(command, "commands"):
        try:
            command.make_context(words[1], rest)
        except Exception as error:
            if "Missing parameter" not in str(error) and "requires an argument" not in str(error):
                raise


def names_of(command: Any, before: str = "") -> Iterator[str]:
    for name, part in command.commands.items():
        yield from names_of(part, f"{before}{name} ") if hasattr(part, "commands") else [before + name]


TYPED = [(page.name, words) for page in [*PAGES, *STUDIES] for words in commands(page.read_text())]
COMMANDS = list(names_of(GROUP))


@pytest.mark.parametrize(
    ("page", "script"), [(page.name, block) for page in PAGES for block in blocks(page.read_text(), "bash")]
)
def test_scripts_are_bash(page: str, script: str) -> None:
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


def test_there_is_something_to_check() -> None:
    assert len(TYPED) > 150
    assert len(COMMANDS) > 20


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pages expect one to be, with the module of one's own that they speak of."""
    monkeypatch.chdir(ROOT)
    module = types.ModuleType("my_module")
    module.__dict__["Greedy"] = copy.copy(METHODS.get("random"))
    monkeypatch.setitem(sys.modules, "my_module", module)


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize(("page", "words"), TYPED, ids=lambda value: value if isinstance(value, str) else "")
def test_commands_can_be_typed(page: str, words: list[str]) -> None:
    parse(words)


@pytest.mark.parametrize("page", [*PAGES, *STUDIES], ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"\b(?:experiments|benchmarks|mixopt|tests)/[\w./-]*\w\.(?:yaml|md|py|png|csv|json)\b", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    if page.suffix == ".md":
        links = re.findall(r"\]\((?!https?:)([^)#\s]+)", text)
        assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_places_in_pages_that_are_linked_exist(page: Path) -> None:
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text()):
        target = page.parent / link if link else page
        titles = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, (
            f"{link}#{anchor}"
        )


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_can_be_typed_and_a_line_in_the_readme(name: str) -> None:
    examples = commands(command_of(name.split())[0].help)
    assert any(words[1 : len(name.split()) + 1] == name.split() for words in examples)
    for words in examples:
        parse(words)
    table = {line.split("`")[1] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `")}
    assert {f"mixopt {name}", f"mixopt {name.split()[0]}"} & table


OF_METHODS = [f"{command} --method {name}" for command in ("search", "recommend") for name in METHODS]


@pytest.mark.parametrize("words", [*COMMANDS, *OF_METHODS])
def test_help_has_few_options(words: str) -> None:
    command, _ = command_of(words.split())
    options = [part for part in command.params if part.param_type_name == "option" and not part.hidden]
    assert 0 < len(options) <= MOST_OPTIONS


def test_the_readme_is_short_and_its_measured_numbers_stand_in_the_pages_that_it_names() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 120
    rows = [
        row.split("|")[2:4] for row in readme.split("## How good is it?")[1].split("## ")[0].splitlines()[4:] if row
    ]
    assert len(rows) == 5
    for claim, link in rows:
        page = (ROOT / re.findall(r"\(([^)#]+)", link)[-1]).read_text()
        assert [number for number in re.findall(r"\d+\.\d+", claim) if number not in page] == []


def test_the_rayjob_is_a_manifest_of_the_ray_that_is_installed() -> None:
    import ray

    (manifest,) = (yaml.safe_load(block) for block in blocks((ROOT / "docs" / "cluster.md").read_text(), "yaml"))
    spec = manifest["spec"]["rayClusterSpec"]
    assert spec["rayVersion"].split(".")[:2] == ray.__version__.split(".")[:2]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_pages_name_exist(page: Path) -> None:
    fields = {
        section: set(type(getattr(StudyConfig(), section)).model_fields) for section in ("data", "executor", "training")
    }
    fields["method"] = {key for name in METHODS for key in METHODS.get(name).Settings.model_fields}
    named = re.findall(r"[`\s](data|executor|training|method)\.([a-z_]+)\b(?![.(/])", page.read_text())
    assert [f"{section}.{key}" for section, key in named if key not in fields[section]] == []


def test_the_page_of_options_is_what_the_methods_say() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_options.py"))["page"]()
    assert (ROOT / "docs" / "options.md").read_text() == made, "run `python docs/make_options.py`"
