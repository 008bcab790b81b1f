"""`mixopt report`."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

import mixopt.cli
from mixopt.store import Store
from tests.report.html.made import PLAIN, STUDY, config, make_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = make_results(tmp_path_factory.mktemp("report") / "results")
    with Store(folder) as store:
        store.save_study("fedcba987654", "ddo", config(PLAIN), [])
    return folder


def run(*words: object):
    return CliRunner().invoke(mixopt.cli.app, ["report", *map(str, words)])


@pytest.mark.slow
def test_the_named_study_is_written_where_it_was_told(results, tmp_path):
    out = tmp_path / "page.html"
    done = run(STUDY[:5], "--results", results, "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"wrote {out}\n")
    assert f"study {STUDY}" in out.read_text(encoding="utf-8")


def test_without_a_study_the_latest_is_written_and_the_others_are_named(results, tmp_path):
    done = run("--results", results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0
    assert done.stderr == f"mixopt: note: fedcba987654 is the latest of 2 studies; earlier ones: {STUDY}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("dead", "--results", "{results}"), "'dead' is not in"), (("--results", "nowhere"), "no results table at")],
)
def test_mistakes_get_one_line_and_status_2(results, words, expected, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mixopt", "report", *(word.format(results=results) for word in words)])
    with pytest.raises(SystemExit) as ended:
        mixopt.cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert expected in said[0]
