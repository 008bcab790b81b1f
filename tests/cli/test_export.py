"""`mixopt export` and `mixopt mixtures` through their command lines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from mixopt.cli import app, main
from mixopt.data.manifest import Manifest
from mixopt.export import FORMATS
from mixopt.published import published

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line of a command that must end with status 2."""
    monkeypatch.setattr(sys, "argv", ["mixopt", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("mixopt: error: ")
    return line


def test_standard_output_is_the_file_and_nothing_else() -> None:
    result = run("export", "redpajama-llama", "--to", "megatron-lm", "--paths", "data/{name}_text_document")
    assert result.stdout.splitlines()[:2] == ["0.67 data/common_crawl_text_document", "0.15 data/c4_text_document"]
    assert "Weights are probabilities" in result.stderr


def test_a_file_is_written_whole(folder: Path) -> None:
    result = run("export", "pile-doremi", "--to", "olmo-core", "--out", "mix.yaml")
    assert "wrote mix.yaml for SourceMixtureList.from_yaml(FILE)" in result.stdout
    ratios = [source["target_ratio"] for source in yaml.safe_load((folder / "mix.yaml").read_text())["sources"]]
    assert ratios == list(published()["pile-doremi"].mixture.weights)
    assert [path.name for path in folder.iterdir()] == ["mix.yaml"]


def test_data_gives_natural_its_domains_and_its_epochs(data_dir: Path) -> None:
    text = run("export", "natural", "--data", data_dir, "--tokens", "120k", "--to", "energon-epochs").stdout
    manifest = Manifest.load(data_dir)
    entries = yaml.safe_load(text)["splits"]["train"]["blend_epochized"]
    assert [entry["path"] for entry in entries] == list(manifest.domain_names)
    assert {round(entry["repetitions"], 9) for entry in entries} == {round(120_000 / sum(manifest.tokens.values()), 9)}


def test_documents_of_the_data_turn_shares_of_tokens_into_shares_of_documents(data_dir: Path) -> None:
    manifest = Manifest.load(data_dir)
    text = run("export", "natural", "--data", data_dir, "--to", "mosaicml", "--sample-tokens", "documents").stdout
    found = [stream["proportion"] for stream in yaml.safe_load(text)["streams"].values()]
    documents = [entry.train.documents for entry in manifest.domains]
    assert found == pytest.approx([count / sum(documents) for count in documents])


def test_files_tell_what_there_is_and_how_long_samples_are(folder: Path) -> None:
    (folder / "mix.yaml").write_text("{a: 0.75, b: 0.25, unused: 0}")
    (folder / "have.yaml").write_text("{a: 1k, b: 2M}")
    (folder / "length.json").write_text('{"a": 100, "b": 300}')
    text = run("export", "mix.yaml", "--to", "mosaicml-epochs", "--tokens", "1M", "--available", "have.yaml").stdout
    assert [s["repeat"] for s in yaml.safe_load(text)["streams"].values()] == [750.0, 0.125]
    text = run("export", "mix.yaml", "--to", "energon", "--sample-tokens", "length.json").stdout
    entries = yaml.safe_load(text)["splits"]["train"]["blend"]
    assert [entry["weight"] for entry in entries] == pytest.approx([0.9, 0.1])
    assert "# a: 0.75 of the tokens" in text


def test_help_names_every_format_and_what_its_number_means() -> None:
    told = " ".join(run("export", "--help").stdout.replace("│", " ").split()).split(" • ")
    for name in FORMATS:
        (line,) = [line for line in told if line.startswith(f"{name}:")]
        assert ("epochs" if FORMATS.get(name).weight == "epochs" else "probabilities") in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pile", "--to", "megatron"], "--to: expected megatron-lm"),
        (["pile", "--to", "zzz"], "huggingface or module:Class, found 'zzz'"),
        (["pyle", "--to", "litgpt"], "nearest: pile"),
        (["natural", "--to", "litgpt"], "it depends on the data; say which with --data FOLDER"),
        (["pile", "--to", "energon-epochs", "--tokens", "1B"], "--data or --available is missing"),
        (["pile", "--to", "energon-epochs", "--tokens", "many"], "--tokens: expected a count"),
        (["pile", "--to", "litgpt", "--sample-tokens", "documents"], "litgpt counts tokens"),
        (["pile", "--to", "energon", "--sample-tokens", "documents"], "say whose with --data FOLDER"),
        (["pile", "--to", "energon", "--sample-tokens", "none.yaml"], "none.yaml: cannot be read"),
        (["pile", "--to", "energon", "--paths", "Arxiv=x"], "did you mean 'ArXiv'?"),
        (["pile", "--to", "energon", "--out", "no/such/folder/x.yaml"], "cannot be written"),
        (["pile", "--to", "energon", "--data", "nowhere"], "no prepared data here"),
        (["autoscale:12", "--to", "energon"], "no results table"),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in fails(monkeypatch, capsys, "export", *arguments)


def test_a_published_mixture_for_other_data_is_refused_with_the_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    line = fails(monkeypatch, capsys, "export", "redpajama-llama", "--data", data_dir, "--to", "litgpt")
    assert "its domains are not the data's" in line
    assert "the data does not have 'common_crawl'" in line


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1]", "expected `domain: number`"), ("{a: 1}", "no number for 'b'"), ("{a: x", "not YAML")],
)
def test_files_of_numbers_are_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, message: str, folder: Path
) -> None:
    (folder / "mix.yaml").write_text("{a: 0.5, b: 0.5}")
    (folder / "have.yaml").write_text(content)
    assert message in fails(
        monkeypatch, capsys, "export", "mix.yaml", "--to", "energon-epochs", "--available", "have.yaml"
    )
    assert message in fails(
        monkeypatch, capsys, "export", "mix.yaml", "--to", "energon", "--sample-tokens", "have.yaml"
    )


def test_mixtures_lists_all_and_shows_one() -> None:
    listed = run("mixtures").stdout
    assert all(name in listed for name in published())
    shown = run("mixtures", "redpajama-llama").stdout
    assert "common_crawl" in shown
    assert "0.6700" in shown


def test_mixtures_as_json() -> None:
    content = json.loads(run("mixtures", "--json").stdout)
    assert [entry["name"] for entry in content] == list(published())
    one = json.loads(run("mixtures", "pile17-regmix", "--json").stdout)
    assert one["weights"] == published()["pile17-regmix"].mixture.to_dict()


def test_unknown_names_are_told_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected pile-natural" in fails(monkeypatch, capsys, "mixtures", "pile-naturl")
