"""Anybody's tables: what is read, and what is said of those that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mixopt.errors import ConfigError
from mixopt.store.runs_csv import read_runs

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = """run,tokens,seed,params,w.code,w.web,loss.code,ppl.web
a,800k,0,124M,0.25,0.75,2.5,20
b,1000000,1,124M,0.5,0.5,2.25,25
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, name: str = "runs.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def test_a_table_is_read(write):
    history, notes = read_runs(write(PLAIN))
    assert notes == []
    assert history.runs == ("a", "b")
    assert history.domains == history.eval_domains == ("code", "web")
    np.testing.assert_allclose(history.tokens_seen, [[200_000, 600_000], [500_000, 500_000]])
    np.testing.assert_allclose(history.losses, [[2.5, np.log(20)], [2.25, np.log(25)]])
    assert history.seeds.tolist() == [0, 1]
    assert history.parameters.tolist() == [124_000_000] * 2


def test_seed_and_params_may_be_left_out(write):
    history, _ = read_runs(write("run,tokens,w.a,w.b,loss.x\nr,100,0.5,0.5,1\n"))
    assert history.seeds.tolist() == [0]
    assert history.parameters.tolist() == [0]
    assert history.eval_domains == ("x",)


def test_losses_of_masked_models_have_a_name_of_their_own(write):
    text = "run,tokens,w.a,w.b,masked_loss.a,masked_loss.b\nr,100,0.5,0.5,1,2\n"
    history, notes = read_runs(write(text))
    assert (history.eval_domains, history.losses.tolist(), notes) == (("a", "b"), [[1.0, 2.0]], [])
    for other in ("loss.b", "ppl.b"):
        with pytest.raises(ConfigError, match="causal and of masked"):
            read_runs(write(text.replace("masked_loss.b", other)))


def test_rounded_weights_are_divided_by_their_sum_and_the_reader_is_told(write):
    history, notes = read_runs(write("run,tokens,w.a,w.b,w.c,loss.a\nr,300,0.333,0.333,0.333,1\n"))
    np.testing.assert_allclose(history.weights, 1 / 3)
    assert len(notes) == 1
    assert "1 of 1 rows are rounded" in notes[0]


RATIOS = "run,name,a,b\nx,first,0.3,0.7\ny,second,0.6,0.4\n"
METRICS = "run,name,index,task_one,loss.task_two\ny,second,1,1.5,2.5\nx,first,0,1.25,2.25\n"


def test_a_pair_is_joined_on_the_run(write):
    history, notes = read_runs(write(RATIOS, "ratios.csv"), write(METRICS, "metrics.csv"), tokens=1000)
    assert history.runs == ("x", "y")
    assert history.domains == ("a", "b")
    assert history.eval_domains == ("task_one", "task_two")
    np.testing.assert_allclose(history.losses, [[1.25, 2.25], [1.5, 2.5]])
    assert history.tokens.tolist() == [1000, 1000]
    assert any("taken as losses in nats/token" in note for note in notes)


def test_a_pair_may_call_its_runs_run_id(write):
    pair = [write(text.replace("run,", "run_id,", 1), name) for text, name in ((RATIOS, "r.csv"), (METRICS, "m.csv"))]
    assert read_runs(*pair, tokens=10)[0].runs == ("x", "y")


@pytest.mark.parametrize(
    ("ratios", "metrics", "message"),
    [
        (RATIOS + "z,third,0.5,0.5\n", METRICS, "run 'z' .*ratios.csv but not .*metrics.csv"),
        (RATIOS, METRICS + "z,third,2,1,1\n", "run 'z' .*metrics.csv but not .*ratios.csv"),
        (RATIOS, METRICS + "x,first,0,1,1\n", "metrics.csv, line 4: run 'x' .*line 3"),
    ],
)
def test_a_pair_that_does_not_match_is_refused(write, ratios, metrics, message):
    with pytest.raises(ConfigError, match=message):
        read_runs(write(ratios, "ratios.csv"), write(metrics, "metrics.csv"), tokens=1000)


ROW = "a,100,0,1,0.5,0.5,2,20\n"
HEAD = "run,tokens,seed,params,w.code,w.web,loss.code,ppl.web\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line of column names"),
        (HEAD, "line for each run"),
        (HEAD.replace("run,", "id,") + ROW, "expected a column `run`"),
        (HEAD.replace("w.web", "w.code") + ROW, "'w.code' is there twice"),
        (HEAD + ROW + ROW, "line 3: run 'a' .*line 2"),
        (HEAD + ROW.replace("a,", ",", 1), "line 2: .*no name"),
        (HEAD + ROW.strip() + ",7\n", "line 2: expected 8 cells, found 9"),
        (HEAD + '"a,100\n', "not CSV"),
        (HEAD.replace("w.", "v.") + ROW, "no weights: .*`w.<domain>`"),
        (HEAD.replace("tokens", "steps") + ROW, "no column `tokens`"),
        (HEAD.replace("loss.", "acc.").replace("ppl.", "acc.") + ROW, "no losses: expected columns"),
        (HEAD.replace("ppl.web", "ppl.code") + ROW, "'code' has two columns"),
        (HEAD + ROW.replace("0.5,0.5", "0.5,0.4"), r"line 2 \(run 'a'\): .*sum to 1 .* found 0.9"),
        (HEAD + ROW.replace("0.5,0.5", "1.5,-0.5"), "'web' must be at least 0, found -0.5"),
        (HEAD + ROW.replace("0.5,0.5", "0.5,nan"), "column 'w.web': .*found 'nan'"),
        (HEAD + ROW.replace(",2,20", ",,20"), "column 'loss.code': .*found nothing"),
        (HEAD + ROW.replace(",2,20", ",inf,20"), "'loss.code': expected a number"),
        (HEAD + ROW.replace(",2,20", ",-2,20"), "at least 0, found -2"),
        (HEAD + ROW.replace(",2,20", ",2,0.5"), "at least 1, found 0.5"),
        (HEAD + ROW.replace("100", "many"), "line 2 .*tokens: expected a count"),
        (HEAD + ROW.replace("100,0,1", "100,x,1"), "column 'seed': .*found 'x'"),
        (HEAD + ROW.replace("100,0,1", "100,0,big"), "params: expected a count"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_line(write, text, message):
    with pytest.raises(ConfigError, match=message):
        read_runs(write(text))


def test_tokens_are_given_once(write):
    with pytest.raises(ConfigError, match="--tokens out"):
        read_runs(write(PLAIN), tokens=10)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nothing\.csv: cannot be read"):
        read_runs(tmp_path / "nothing.csv")
