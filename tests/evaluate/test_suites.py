"""Suites of tasks from other packages: found by the first word of names; a missing one says what to install."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from mixopt.errors import ConfigError
from mixopt.evaluate import suites
from mixopt.evaluate.suites import Suite, suite_of
from mixopt.evaluate.tasks import resolve
from mixopt.evaluation import EvalTask
from mixopt.plugins import Registry


def fresh(monkeypatch: pytest.MonkeyPatch, **own: str) -> None:
    """A registry that has looked at nothing yet."""
    registry = Registry("suite", "mixopt.evaluators", {**suites.SUITES.builtin, **own}, base=Suite)
    monkeypatch.setattr(suites, "SUITES", registry)


def test_a_name_belongs_to_the_suite_of_its_first_word() -> None:
    assert suite_of("hellaswag") is None
    assert suite_of("glued") is None
    glue, squad = suite_of("glue_mrpc"), suite_of("squad")
    assert glue is squad is not None
    assert glue.prediction == "masked"


@pytest.mark.parametrize(("word", "module"), [("glue", "suite"), ("bigbench_physics", "bigbench")])
def test_without_the_extra_it_is_said_what_to_install(
    word: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh(monkeypatch)
    monkeypatch.setitem(sys.modules, f"mixopt_finetune.{module}", None)
    with pytest.raises(ConfigError, match=r"mixopt_finetune.*pip install 'mixopt\[finetune\]'"):
        suite_of(word)


def test_a_library_that_the_extra_brings_is_missed_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh(monkeypatch)
    monkeypatch.delitem(sys.modules, "mixopt_finetune.suite", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"scikit-learn.*pip install 'mixopt\[finetune\]'"):
        suite_of("squad")


def test_a_suite_of_anybodys_own_is_asked_for_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("riddles")
    module.SUITE = Suite(  # pyright: ignore[reportAttributeAccessIssue]
        "causal", lambda names, **_: [EvalTask(name=name, kind="harness") for name in names]
    )
    monkeypatch.setitem(sys.modules, "riddles", module)
    fresh(monkeypatch, riddles="riddles:SUITE")
    found = resolve(["riddles_hard"], "causal", data_dir=None)
    assert [task.name for task in found] == ["riddles_hard"]
    with pytest.raises(ConfigError, match="riddles_hard: a task for causal models"):
        resolve(["riddles_hard"], "masked", data_dir=None)
