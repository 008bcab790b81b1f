"""What the pages tell people to type can be typed: commands, scripts, manifests."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from mixopt.cli import app
from mixopt.study import StudyConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "cluster.md", ROOT / "docs" / "export.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every `mixopt …` of a script or a page."""
    joined = text.replace("\\\n", " ")
    lines = [line.split("#")[0] for line in joined.splitlines()] + re.findall(r"`(mixopt [^`]*)`", joined)
    found = (re.search(r"(?:^|\s)(mixopt [a-z].*)", line) for line in lines)
    return [shlex.split(match[1]) for match in found if match]


SHELL = [(page.name, block) for page in PAGES for block in blocks(page, "bash")]
TYPED = [
    (source.name, words)
    for source in [*PAGES, *sorted((ROOT / "experiments").glob("*.yaml"))]
    for words in commands(
        "\n".join([*blocks(source, "bash"), *re.findall(r"`(mixopt [^`]*)`", source.read_text())])
        if source.suffix == ".md"
        else re.sub(r"^# +", "", source.read_text(), flags=re.MULTILINE)
    )
]


@pytest.mark.parametrize(("page", "script"), SHELL)
def test_scripts_are_bash(page: str, script: str) -> None:
    subprocess.run(["bash", "-n"], input=script.encode(), check=True)


@pytest.mark.parametrize(("page", "words"), TYPED, ids=lambda value: value if isinstance(value, str) else "")
def test_commands_and_flags_exist(page: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    rest = words[1:]
    while rest and rest[0] in (getattr(command, "commands", None) or {}):
        command = command.commands[rest.pop(0)]  # pyright: ignore[reportAttributeAccessIssue]
    assert not getattr(command, "commands", None), f"{page}: {words[1:2]} is no command"
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in rest if word.startswith("-")} <= known


def test_there_is_something_to_check() -> None:
    assert len(TYPED) > 20
    assert len(SHELL) >= 4


def test_the_rayjob_is_a_manifest_of_the_ray_that_is_installed() -> None:
    import ray

    (manifest,) = (yaml.safe_load(block) for block in blocks(PAGES[0], "yaml"))
    spec = manifest["spec"]["rayClusterSpec"]
    assert spec["rayVersion"].split(".")[:2] == ray.__version__.split(".")[:2]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_settings_that_pages_name_exist() -> None:
    for page in PAGES:
        for section, key in re.findall(r"\b(data|executor|training|method)\.([a-z_]+)\b", page.read_text()):
            fields = type(getattr(StudyConfig(), section)).model_fields
            assert key in fields, f"{page.name}: {section}.{key}"
