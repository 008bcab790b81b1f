"""Downstream scores in a study's page."""

from __future__ import annotations

from mixopt.report.html.comparison import comparison_section
from tests.study.compare.test_tasks import compared


def test_a_comparison_shows_its_tasks_with_the_best_of_each_strong():
    (table,) = [table for table in comparison_section(compared(), 0).tables if table.caption == "Downstream tasks"]
    assert list(table.columns) == ["task", "metric", "chance", "uniform", "better"]
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[0] == ["recall", "acc", "0.25", "0.3200 ± 0.012", "0.3800 ± 0.012"]
    assert texts[2][:2] == ["surprise", "acc, lower is better"]
    assert texts[-1] == ["won : lost against uniform", "", "", "", "2 : 1"]
    strong = [[cell.kind for cell in row[3:]] for row in table.rows[:4]]
    assert strong == [["", "strong"], ["strong", ""], ["", "strong"], ["strong", ""]]


def test_a_comparison_without_scores_has_no_such_table():
    from mixopt.objective import MeanLoss
    from mixopt.study.compare.compare import compare_runs
    from tests.study.compare.test_tasks import scored

    groups, _ = scored()
    section = comparison_section(compare_runs(groups, MeanLoss(), ["uniform"]), 0)
    assert "Downstream tasks" not in [table.caption for table in section.tables]
