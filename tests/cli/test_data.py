import json
import re

import pytest
from typer.testing import CliRunner

from mixopt.cli import app
from mixopt.data.manifest import Manifest
from mixopt.errors import ConfigError, DataError, MixoptError
from tests.corpus import write_text


@pytest.fixture
def text(tmp_path):
    return write_text(tmp_path / "text", 20, domains=("chant", "words"))


def call(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, MixoptError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def domain_flags(text):
    return [part for name, path in text.items() for part in ("--domain", f"{name}={path}")]


def test_prepare_then_show(text, tmp_path):
    out = tmp_path / "out"
    printed = call("data", "prepare", *domain_flags(text), "--tokenizer", "bpe:300", "--out", out)
    manifest = Manifest.load(out)
    assert manifest.domain_names == ("chant", "words")
    assert manifest.fingerprint in printed
    assert "chant" in call("data", "show", out)
    content = json.loads(call("data", "show", out, "--json"))
    assert content["fingerprint"] == manifest.fingerprint
    assert content["natural"] == manifest.natural.to_dict()
    assert [entry["name"] for entry in content["domains"]] == ["chant", "words"]


def test_show_refuses_a_tokenizer_that_did_not_make_the_tokens(text, tmp_path):
    for name, size in (("one", 300), ("other", 280)):
        call("data", "prepare", *domain_flags(text), "--tokenizer", f"bpe:{size}", "--out", tmp_path / name, "--quiet")
    path = tmp_path / "one" / "tokenizer" / "tokenizer.json"
    path.write_bytes((tmp_path / "other" / "tokenizer" / "tokenizer.json").read_bytes())
    with pytest.raises(DataError, match="expected the tokenizer"):
        call("data", "show", tmp_path / "one")
    path.unlink()
    with pytest.raises(DataError, match="the tokenizer is missing"):
        call("data", "show", tmp_path / "one")


def test_show_prints_no_control_characters(tmp_path):
    path = tmp_path / "evil.jsonl"
    path.write_text("".join(json.dumps({"text": f"\x1b[31m[red]\x07 text {n}"}) + "\n" for n in range(30)))
    call("data", "prepare", "--domain", f"a [b]={path}", "--tokenizer", "bpe:270", "--out", tmp_path / "out", "--quiet")
    printed = call("data", "show", tmp_path / "out")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", printed)
    assert "a [b]" in printed


def test_prepare_from_yaml_with_a_flag_that_overrides_it(text, tmp_path):
    settings = {"domains": {n: str(p) for n, p in text.items()}, "tokenizer": "bpe:300", "out": "never"}
    (tmp_path / "p.yaml").write_text(json.dumps(settings))
    call("data", "prepare", tmp_path / "p.yaml", "--out", tmp_path / "out", "--validation-share", "0.2", "--quiet")
    assert Manifest.load(tmp_path / "out").domains[0].validation.documents > 2


def test_json_of_prepare_is_the_manifest(text, tmp_path):
    printed = call(
        "data", "prepare", *domain_flags(text), "--tokenizer", "bpe:300", "--out", tmp_path / "out", "--json"
    )
    assert json.loads(printed)["fingerprint"] == Manifest.load(tmp_path / "out").fingerprint


def test_estimate(text, tmp_path):
    call("data", "prepare", *domain_flags(text), "--tokenizer", "bpe:300", "--out", tmp_path / "out", "-q")
    flags = [*domain_flags(text), "--tokenizer", tmp_path / "out" / "tokenizer"]
    content = json.loads(call("data", "estimate", *flags, "--json"))
    assert sum(content["natural"].values()) == pytest.approx(1)
    assert content["domains"]["words"]["documents"] == 20
    assert "tokens/document" in call("data", "estimate", *flags, "--documents", "5")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["prepare", "--out", "x"], ConfigError, "expected --domain NAME=PATH"),
        (["prepare", "--domain", "web", "--tokenizer", "t", "--out", "x"], ConfigError, "NAME=PATH, found 'web'"),
        (["prepare", "--domain", "a=b", "--domain", "a=c", "--out", "x"], ConfigError, "'a' is given twice"),
        (["prepare", "--domain", "a=b", "--tokenizer", "bpe:1", "--out", "x"], DataError, "at least 257"),
        (["prepare", "--domain", "a=b", "--tokenizer", "bpe:300", "--out", "x"], DataError, "domain 'a': b: no such"),
        (["show", "nowhere"], DataError, "mixopt data prepare"),
        (["estimate", "--domain", "a=b"], ConfigError, "--tokenizer"),
    ],
)
def test_bad_input_is_one_line(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        call("data", *arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["prepare", "show", "estimate", "demo"])
def test_help_has_an_example(command):
    assert f"mixopt data {command}" in " ".join(call("data", command, "--help").split())
