"""The study file: defaults, short forms, flags over it, and one line for each mistake."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from mixopt.errors import ConfigError
from mixopt.methods.registry import method_named, method_names
from mixopt.study import StudyConfig
from mixopt.study.template import template, write_template

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("method", method_names())
def test_the_template_as_it_stands_holds_the_defaults(tmp_path: Path, method: str) -> None:
    written = StudyConfig.load(write_template(tmp_path / "study.yaml", method))
    assert written == StudyConfig.build({}, "test", method=method)
    assert written.method.model_dump() == method_named(method).Settings(name=method).model_dump()


@pytest.mark.parametrize("method", method_names())
def test_the_template_names_every_key(method: str) -> None:
    content = yaml.safe_load(template(method))
    defaults = StudyConfig.build({}, "test", method=method).model_dump()
    assert content.keys() == defaults.keys()
    # The fields of a model are there as comments: a preset has them all.
    for section in content.keys() - {"model", "results"}:
        assert content[section].keys() == defaults[section].keys()


def test_init_does_not_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="left as it is"):
        write_template(path)
    assert path.read_text() == "mine"


def test_init_leaves_no_part_of_a_file_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.yaml"

    def full(descriptor: int, *_: object, **__: object) -> None:
        os.close(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left on device\)"):
        write_template(path)
    assert not path.exists()


def test_flags_override_the_file_and_short_forms_do_the_same_as_long_ones(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("data: corpus\nmodel: {preset: gpt2-1m, layers: 6}\ntraining: {tokens: 10M, lr: 3e-3}\n")
    config = StudyConfig.load(path, {"training.tokens": "800k", "model.layers": None, "method.factors": "1/4,2"})
    assert config.data.dir == "corpus"
    assert (config.model.preset, config.model.layers) == ("gpt2-1m", 6)
    assert (config.training.tokens, config.training.lr) == (800_000, 0.003)
    assert config.method.factors == (0.25, 2.0)
    path.write_text("model: gpt2-1m\n")
    assert StudyConfig.load(path, {"model.layers": 6}).model == config.model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainning: {}", r"study\.yaml: .*`trainning`.*did you mean `training`\?"),
        ("training: {token: 1M}", r"study\.yaml: .*`training\.token`.*did you mean `tokens`\?"),
        ("lr: 0.1", r"`lr`.*did you mean `training\.lr`\?"),
        ("zzz: 1", r"`zzz`; .*data, model, training"),
        ("training: {tokens: many}", r"training\.tokens: .*800k.*found 'many'"),
        ("training: {tokens: -3}", r"training\.tokens: .*count"),
        ("training: {lr: .nan}", r"training\.lr: .*finite.*nan"),
        ("method: {factors: [a]}", r"method\.factors: expected numbers such as 1/3"),
        ("method: {factors: [1/0]}", r"method\.factors: expected numbers such as 1/3"),
        ("method: {perturb: both}", r"method\.perturb: expected 'add' or 'replace', found 'both'"),
        ("method: {factor: [2]}", r"`method\.factor` for the method ddo; did you mean `method\.factors`"),
        ("method: {budget: 3}", r"`method\.budget` for the method ddo; it is an option of adso, tokens-only"),
        ("method: {name: adso, seeds: 2}", r"`method\.seeds` for the method adso; it is an option of ddo"),
        ("method: {name: ads}", r"method\.name: expected adso or module:Class, found 'ads'"),
        ("method: 5", r"method: expected options such as .*found 5"),
        ("method: {seeds: 0}", r"method\.seeds: expected greater than or equal to 1, found 0"),
        ("executor: {kind: slurm}", r"executor\.kind: expected 'ray' or 'inline', found 'slurm'"),
        ("training: 5", r"training: .*found 5"),
        ("- a\n- b", r"expected sections"),
        ("a: [", r"not YAML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        StudyConfig.load(path)
    assert "\n" not in str(caught.value)


def test_a_wrong_flag_is_named_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("training: {tokens: 1M}")
    with pytest.raises(ConfigError, match=r"^flag for training\.tokens: .*'lots'"):
        StudyConfig.load(path, {"training.tokens": "lots"})


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*mixopt init"):
        StudyConfig.load(tmp_path / "none.yaml")


def test_a_file_that_is_there_and_no_text_is_not_to_be_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read") as raised:
        StudyConfig.load(file)
    assert "mixopt init" not in str(raised.value)


def test_one_domain_to_measure_is_its_name_even_with_a_comma() -> None:
    assert StudyConfig.build({}, "test", {"data.eval_only": "wiki, new"}).data.eval_only == ("wiki, new",)


def test_a_file_of_one_method_serves_others_with_what_they_share(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("method: {name: ddo, objective: worst, factors: [2], seeds: 3}")
    assert StudyConfig.load(path).method.factors == (2.0,)
    other = StudyConfig.load(path, method="adso").method
    assert (other.name, other.objective, hasattr(other, "factors")) == ("adso", "worst", False)
    assert StudyConfig.load(path, {"method.name": "regmix"}).method.seeds == 3
    path.write_text("method: {factors: [2]}")
    with pytest.raises(ConfigError, match="for the method adso"):
        StudyConfig.load(path, method="adso")


def test_a_file_s_method_is_what_runs_unless_a_command_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("method: ddo")
    assert StudyConfig.load(path, default="auto").method.name == "ddo"
    path.write_text("results: here")
    assert StudyConfig.load(path, default="auto").method.name == "auto"
    assert StudyConfig.load(path).method.name == "ddo"
