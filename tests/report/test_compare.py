"""A comparison's table in five formats, and its pictures."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from mixopt.comparison import Comparison, Measured
from mixopt.display.table import with_error
from mixopt.errors import ConfigError, StoreError
from mixopt.objective import MeanPerplexity
from mixopt.report.compare_formats import FORMATS, csv_text, latex, markdown, render, save_comparison
from mixopt.report.comparison import comparison_tables, curves_figure, gains_figure, headline, mixtures_figure, notes
from mixopt.report.png import draw, png, short
from mixopt.results import load_comparison
from mixopt.study.compare.compare import compare_runs
from tests.study.compare.test_tasks import compared
from tests.synthetic_runs import TOKENS, make_run, make_spec, power_law

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = {
    "html": "<script>alert(1)</script>",
    "markdown": "a|b *c* `d` [e](f)",
    "latex": r"50% & $x_1$ #2 ~^ {y} \input{z}",
    "rich": "[red]x[/red]",
}


def made(domains: tuple[str, ...] = ("code", "law"), names: tuple[str, str] = ("uniform", "better")) -> Comparison:
    """Two mixtures, three seeds, and a domain that is only measured."""
    share = {domain: 1 / len(domains) for domain in domains}
    groups = {}
    for name, amplitude in zip(names, (60.0, 50.0), strict=True):
        base = power_law(3.0, amplitude)
        groups[name] = [
            make_run(
                make_spec(share, seed, only=("news",)),
                lambda tokens, domain, base=base, seed=seed, better=name == names[1]: (
                    base(tokens, domain) + 0.02 * seed * (1 + better) + 0.1 * len(domain)
                ),
            )
            for seed in range(3)
        ]
    return compare_runs(groups, MeanPerplexity(), [names[0]])


def told(measured: Measured) -> str:
    return with_error(measured.value, measured.standard_error)


def best(cells) -> list[bool]:
    return [cell.kind == "strong" for cell in cells]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return made()


def test_the_terminal_shows_every_number_with_its_error(comparison: Comparison):
    shown = render(comparison, "terminal", Console(file=io.StringIO(), width=120))
    entry = comparison.entries["better"]
    reach = entry.tokens_to_reach["uniform"]
    assert reach.saved is not None
    for words in (
        told(entry.mean_ppl),
        told(entry.domains["law"].loss),
        told(entry.worst.ppl),
        f"{100 * entry.versus['uniform'].gain.value:+.2f} %",
        f"{100 * reach.saved:.1f} %",
        "2 mixtures, 2M tokens, 3 seeds; objective mean_ppl",
        "news †",
        "† only measured",
    ):
        assert words in shown
    assert all(len(line) <= 120 for line in shown.splitlines())


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (70.1234, 0.4321, "70.12 ± 0.43"),
        (4.25132, 0.00614, "4.2513 ± 0.0061"),
        (1234.5, 56.0, "1234 ± 56"),
        (70.1234, None, "70.12"),
        (70.1234, 0.0, "70.12"),
    ],
)
def test_errors_have_two_digits_and_values_as_many_decimals(value: float, error: float | None, text: str):
    assert with_error(value, error) == text


def test_the_lowest_of_a_row_is_best(comparison: Comparison):
    tables = {table.title: table.rows for table in comparison_tables(comparison)}
    assert {label.text: best(cells) for label, *cells in tables["Perplexity"]} == {
        "code": [False, True], "law": [False, True], "news †": [False, True],
    }  # fmt: skip
    assert not any(any(best(cells)) for _, *cells in tables["Against uniform"])


def test_csv_has_every_number_in_full(comparison: Comparison):
    rows = list(csv.DictReader(io.StringIO(csv_text(comparison))))
    found = {(row["section"], row["row"], row["mixture"]): row for row in rows}
    loss = comparison.entries["better"].domains["law"].loss
    row = found["Loss, nats/token", "law", "better"]
    assert (float(row["value"]), float(row["standard_error"])) == (loss.value, loss.standard_error)
    saved = comparison.entries["better"].tokens_to_reach["uniform"]
    row = found["Against uniform", "tokens saved", "better"]
    assert (float(row["value"]), float(row["low"]), float(row["high"])) == (saved.saved, saved.low, saved.high)
    assert found["Average", "which is", "better"]["text"] == comparison.entries["better"].worst.domain


def test_json_is_the_comparison(comparison: Comparison):
    assert json.loads(render(comparison, "json")) == json.loads(json.dumps(comparison.to_dict()))


def test_markdown_is_a_table_with_a_cell_for_each_mixture(comparison: Comparison):
    lines = [line for line in markdown(comparison).splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines)
    assert re.match(r"\|\s+\|\s+uniform \|\s+better \|$", lines[0])
    assert re.match(r"\|:-+\|-+:\|-+:\|$", lines[1])
    perplexity = told(comparison.entries["better"].mean_ppl)
    assert any(f"**{perplexity}**" in line for line in lines)


def test_latex_is_a_booktabs_table(comparison: Comparison):
    text = latex(comparison)
    for words in (r"\begin{tabular}{llrr}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{table}", r"$\pm$"):
        assert words in text
    assert "cline" not in text
    assert text.count(r"\midrule") == len(comparison_tables(comparison))
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert all(line.count("&") == 3 for line in rows)
    assert rf"\textbf{{{told(comparison.entries['better'].mean_ppl).replace('±', '$' + chr(92) + 'pm$')}}}" in text


@pytest.fixture(scope="module")
def hostile() -> Comparison:
    return made(tuple(HOSTILE.values()), names=("uniform", HOSTILE["markdown"] + HOSTILE["latex"] + HOSTILE["html"]))


def test_a_terminal_shows_hostile_names_as_they_are(hostile: Comparison):
    shown = render(hostile, "terminal", Console(file=io.StringIO(), width=300))
    for name in HOSTILE.values():
        assert name in shown


def test_markdown_keeps_hostile_names_as_text(hostile: Comparison):
    lines = markdown(hostile).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in table)
    assert any(r"\<script\>alert(1)\</script\>" in line for line in table)
    assert any(r"a\|b \*c\* \`d\` \[e\](f)" in line for line in table)
    # Nothing with a meaning is left: a special character is escaped, or is one of our own bold marks.
    for line in table[2:]:
        assert not re.search(r"(?<!\\)[`<\[\]$]", line)


def test_latex_keeps_hostile_names_as_text(hostile: Comparison):
    text = latex(hostile)
    name = (
        r"50\% \& \$x\_1\$ \#2 \textasciitilde{}\textasciicircum{} \{y\} "
        r"\textbackslash{}input\{z\}"
    )
    assert name in text
    assert r"\textless{}script\textgreater{}" in text
    code = [line for line in text.splitlines() if not line.startswith("%")]
    assert not re.search(r"(?<!\\)[%#]", "\n".join(code))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here; the structure is tested above")
def test_latex_compiles(hostile: Comparison, tmp_path: Path):
    preamble = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    source = preamble + latex(hostile) + "\n\\end{document}\n"
    (tmp_path / "t.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_csv_and_json_keep_hostile_names(hostile: Comparison):
    labels = {row["row"] for row in csv.DictReader(io.StringIO(csv_text(hostile)))}
    assert set(HOSTILE.values()) <= labels
    assert set(HOSTILE.values()) <= set(json.loads(render(hostile, "json"))["entries"]["uniform"]["domains"])


def test_pictures_draw_hostile_names_without_reading_them_as_formulas(hostile: Comparison):
    png(mixtures_figure(hostile), dpi=40)
    labels = [label.get_text() for label in draw(mixtures_figure(hostile)).axes[0].get_yticklabels()]
    assert labels == [short(name) for name in HOSTILE.values()]
    assert not any(re.search(r"(?<!\\)\$", label) for label in labels)


def test_curves_mark_where_the_baseline_is_reached(comparison: Comparison):
    figure = draw(curves_figure(comparison))
    axes = figure.axes[0]
    reach = comparison.entries["better"].tokens_to_reach["uniform"]
    (dot,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert list(dot.get_xdata()) == [reach.tokens]
    assert list(dot.get_ydata()) == [comparison.entries["uniform"].objective.value]
    assert reach.saved is not None
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(f"better: {100 * reach.saved:.0f} %" in text for text in said)
    low, high = axes.get_xlim()
    assert low < TOKENS * 0.2 < TOKENS < high


def test_gains_have_a_bar_for_the_objective_and_each_domain(comparison: Comparison):
    figure = draw(gains_figure(comparison))
    (axes,) = figure.axes
    versus = comparison.entries["better"].versus["uniform"]
    gains = [bar.get_width() for bar in axes.patches]
    expected = [versus.gain, *(versus.domains[name] for name in ("code", "law", "news"))]
    assert gains == pytest.approx([100 * part.value for part in expected])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean_ppl", "code", "law", "news †"]
    low, high = axes.get_xlim()
    assert low == -high
    figure.draw_without_rendering()
    label = figure.get_supxlabel()
    assert label.replace("\n", " ").startswith("gain over uniform, % lower perplexity")
    box = next(text for text in figure.texts if text.get_text() == label).get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


@pytest.mark.parametrize("count", [2, 5, 9])
def test_panels_wrap_and_all_are_there(comparison: Comparison, count: int):
    entries = {f"m{number}": comparison.entries["uniform"] for number in range(count)}
    many = Comparison.from_json(json.dumps({**comparison.to_dict(), "baselines": ["m0"], "entries": json.loads(
        json.dumps({name: comparison.to_dict()["entries"]["uniform"] for name in entries}))}))  # fmt: skip
    figure = draw(mixtures_figure(many))
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(entries)
    assert math.isclose(sum(bar.get_width() for bar in figure.axes[-1].patches), 1)


@pytest.mark.slow
def test_files_are_written_and_read_back(comparison: Comparison, tmp_path: Path):
    written = save_comparison(comparison, tmp_path / "out")
    names = {"comparison.json", "comparison.md", "comparison.csv", "comparison.tex"}
    assert {path.name for path in written} == names | {"curves.png", "objective.png", "gains.png", "mixtures.png"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    assert load_comparison(tmp_path / "out") == load_comparison(tmp_path / "out" / "comparison.json") == comparison
    assert {path.name for path in save_comparison(comparison, tmp_path / "bare", plots=False)} == names


def test_a_file_that_is_no_comparison_is_named(tmp_path: Path):
    (tmp_path / "comparison.json").write_text('{"id": 1}')
    for path in (tmp_path, tmp_path / "nowhere.json"):
        with pytest.raises(StoreError, match=r"json: cannot be read .*`mixopt compare`"):
            load_comparison(path)


def test_a_folder_that_cannot_be_written_is_named(comparison: Comparison, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file: cannot be written .*--out"):
        save_comparison(comparison, tmp_path / "file", plots=False)


def test_what_is_not_there_is_a_dash_and_a_sentence():
    spec = make_spec({"code": 1.0})
    groups = {
        "uniform": [make_run(spec, power_law(3.0, 60.0))],
        "worse": [make_run(make_spec({"code": 1.0}, tokens=2 * TOKENS), power_law(3.9, 60.0))],
    }
    found = compare_runs(groups, MeanPerplexity(), ["uniform"])
    tables = {table.title: table.rows for table in comparison_tables(found)}
    against = {label.text: cells[1].text for label, *cells in tables["Against uniform"]}
    assert against["tokens to reach its end"] == "never"
    assert against["tokens saved"] == against["95 % interval"] == "-"
    assert headline(found) == "2 mixtures, 2M to 4M tokens, 1 seed; objective mean_ppl"
    assert any(note.startswith("tokens to reach, worse to uniform: never reached") for note in notes(found))
    for form in FORMATS:
        assert "never" in render(found, form)
    png(curves_figure(found), dpi=40)
    png(gains_figure(found), dpi=40)


@pytest.fixture(scope="module")
def scored() -> Comparison:
    return compared()


def test_scores_are_rows_of_every_format_and_the_best_is_bold(scored: Comparison):
    tables = {table.title: table.rows for table in comparison_tables(scored)}
    rows = {label.text: cells for label, *cells in tables["Downstream"]}
    assert list(rows) == ["recall (acc, chance 0.25)", "spelling (acc, chance 0.25)",
                          "surprise (acc, chance 0.25, lower is better)", "average"]  # fmt: skip
    bold = {label: best(cells) for label, cells in rows.items()}
    assert bold["recall (acc, chance 0.25)"] == [False, True]
    assert bold["spelling (acc, chance 0.25)"] == [True, False]
    assert bold["surprise (acc, chance 0.25, lower is better)"] == [False, True]
    assert "0.380 ± 0.012" in render(scored, "terminal", Console(file=io.StringIO(), width=120))
    assert "**0.380 ± 0.012**" in markdown(scored)
    assert r"\textbf{0.380 $\pm$ 0.012}" in latex(scored)
    (line,) = [
        line
        for line in csv.DictReader(io.StringIO(csv_text(scored)))
        if (line["row"], line["mixture"]) == ("average", "better")
    ]
    assert float(line["value"]) == pytest.approx(0.395)
    (tally,) = [cells for label, *cells in tables["Against uniform"] if label.text == "tasks won, lost"]
    assert [cell.text for cell in tally] == ["-", "2, 1"]
    content = json.loads(render(scored, "json"))
    assert content["entries"]["better"]["tasks"]["recall"]["score"]["seeds"] == [0.36, 0.4, 0.38]


def test_a_comparison_without_scores_says_nothing_of_them(comparison: Comparison):
    shown = render(comparison, "terminal", Console(file=io.StringIO(), width=120))
    assert "Downstream" not in shown
    assert "tasks won" not in shown


def test_one_seed_is_told_of_beside_scores():
    assert any("with one seed is over the tasks' items" in note for note in notes(compared(seeds=1)))
