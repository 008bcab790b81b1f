"""Downstream scores in a study's page."""

from __future__ import annotations

from mixopt.objective import MeanLoss
from mixopt.report.comparison import comparison_tables
from mixopt.study.compare.compare import compare_runs
from tests.study.compare.test_tasks import compared, scored


def test_a_comparison_shows_its_tasks_with_the_best_of_each_strong():
    tables = {table.title: table for table in comparison_tables(compared(), "comparison-0-")}
    table = tables["Downstream"]
    assert [column.name for column in table.columns] == ["", "uniform", "better"]
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[0] == ["recall (acc, chance 0.25)", "0.320 ± 0.012", "0.380 ± 0.012"]
    assert texts[2][0] == "surprise (acc, chance 0.25, lower is better)"
    strong = [[cell.kind for cell in row[1:]] for row in table.rows]
    assert strong == [["", "strong"], ["strong", ""], ["", "strong"], ["strong", ""]]
    (won,) = [row for row in tables["Against uniform"].rows if row[0].text == "tasks won, lost"]
    assert [cell.text for cell in won[1:]] == ["-", "2, 1"]
    assert table.rows[0][1].title.startswith("seeds: ")


def test_a_comparison_without_scores_has_no_such_table():
    groups, _ = scored()
    tables = comparison_tables(compare_runs(groups, MeanLoss(), ["uniform"]))
    assert "Downstream" not in [table.title for table in tables]
