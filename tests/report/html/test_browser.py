"""The page in a real browser: it draws, sorts, opens runs, asks no network, and runs nobody's names."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mixopt.report.html import write_report
from mixopt.store import Store
from tests.report.html.made import HOSTILE, PLAIN, make_autoscale

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PHONE, DESKTOP = (390, 844), (1400, 900)
DRAWN = "[...document.querySelectorAll('[data-plot]')].every(place => place.querySelector('.main-svg'))"


@contextmanager
def opened(browser: Browser, path: Path, size: tuple[int, int] = DESKTOP, scheme: Any = "light") -> Iterator[Page]:
    """The page, drawn. Anything on the console and any request but the page's own fails the test."""
    trouble: list[str] = []
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("request", lambda request: trouble.append(f"request: {request.url}"))
    page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
    page.goto(path.as_uri())
    wait_until(page, DRAWN)
    yield page
    context.close()
    assert trouble == [f"request: {path.as_uri()}"]


def wait_until(page: Page, condition: str) -> None:
    """Playwright's own waiting evaluates text in the page, which the page's security policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


@pytest.fixture(scope="module")
def page(browser: Browser, hostile_page: Path) -> Iterator[Page]:
    """The hostile page on a desktop; each test has figures and tables of its own."""
    with opened(browser, hostile_page) as shown:
        yield shown


def figures(page: Page) -> dict[str, list[int]]:
    """By figure its number of traces, and of elements that a trace draws (bars, lines, points, maps)."""
    script = """() => Object.fromEntries([...document.querySelectorAll("[data-plot]")].map(place => [
        place.dataset.plot,
        [place.data.length, place.querySelectorAll('.trace, .heatmaplayer image, .hm').length]]))"""
    return page.evaluate(script)


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_every_figure_draws_and_nothing_sticks_out(browser, hostile_page, size, scheme):
    with opened(browser, hostile_page, size, scheme) as page:
        drawn = figures(page)
        width = page.evaluate("document.documentElement.scrollWidth")
    laws = {f"curves-{index}" for index in range(len(HOSTILE))}
    compared = {"curves", "objective", "gains", "mixtures-0", "mixtures-1"}
    others = {"mixture", "verification", "training", "trained", *(f"comparison-0-{name}" for name in compared)}
    assert set(drawn) == laws | others
    assert all(traces and marks for traces, marks in drawn.values()), drawn
    assert width <= size[0]


def test_names_are_text_and_run_nothing(page):
    assert page.evaluate("window.hacked") is None
    cells = page.locator("#table-weights tbody th").all_text_contents()
    labels = page.locator("#plot-mixture .ytick text").all_text_contents()
    markup = page.locator("main b, main img[src=x], .js-plotly-plot a, .js-plotly-plot [style*=bold]").count()
    menu = page.locator("[data-menu=training][data-level='1'] option").all_text_contents()
    assert sorted(cell.strip() for cell in cells) == sorted(HOSTILE)
    assert sorted(labels) == sorted(name if len(name) <= 22 else name[:21] + "…" for name in HOSTILE)
    assert menu[1:] == list(HOSTILE)
    assert markup == 0


def test_hover_labels_show_names_as_they_are(page):
    # The top bar is the largest weight's.
    page.evaluate("Plotly.Fx.hover('plot-mixture', [{curveNumber: 0, pointNumber: 0}])")
    shown = page.locator("#plot-mixture .hoverlayer").text_content() or ""
    first = page.evaluate("document.getElementById('plot-mixture').data[0].customdata[0][0]")
    assert any(name in shown for name in HOSTILE)
    assert "&lt;" in first or "<" not in first
    assert "recommended" in shown


def test_columns_sort_by_number_and_back(page, hostile_page):
    head = page.locator("#table-weights thead th").nth(1)
    read = "els => els.map(el => Number(el.dataset.key))"
    column = "#table-weights tbody tr > :nth-child(2)"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    rising = page.locator(column).evaluate_all(read)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    falling = page.locator(column).evaluate_all(read)
    others = page.locator("#table-weights thead th[aria-sort=none]").count()
    assert rising == sorted(rising)
    assert falling == rising[::-1]
    assert others == page_columns(hostile_page) - 1


def page_columns(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    table = text[text.index('<table id="table-weights"') :]
    return table[: table.index("</thead>")].count("<th ")


def test_empty_cells_stay_last_in_either_order(page):
    button = page.locator("#table-predictions thead th").nth(3).locator("button")
    for _ in range(2):
        button.click()
        gains = page.locator("#table-predictions tbody tr > :nth-child(4)").all_text_contents()
        assert gains[-1].strip() == "-"  # of the recommended mixture over itself


def test_runs_are_filtered_by_role(page):
    everything = page.locator("#table-runs tbody tr").count()
    page.locator("[data-filter=runs]").fill("verify FINISHED")
    shown = page.locator("#table-runs tbody tr:visible").count()
    said = page.locator("[data-count=runs]").text_content()
    assert shown == 4
    assert said == f"4 of {everything}"


def test_a_number_leads_to_its_runs(page, hostile_results):
    page.locator("#table-laws details.runs summary").first.click()
    link = page.locator("#table-laws details.runs a").first
    run = link.get_attribute("data-run") or ""
    link.click()
    dialog = page.locator("#run-dialog")
    assert dialog.is_visible()
    names = dialog.locator("tbody th").all_text_contents()
    losses = dialog.locator("tbody tr > :nth-child(5)").all_text_contents()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.locator(f"#run-{run}.found").count() == 1
    with Store(hostile_results, read_only=True) as store:
        expected = store.get(run)[1].losses()
    assert names == list(expected)
    assert [float(loss) for loss in losses] == pytest.approx(list(expected.values()), rel=1e-4)


def test_a_click_on_a_curve_opens_its_run(page):
    page.evaluate(
        "() => { const p = document.getElementById('plot-training');"
        "p.emit('plotly_click', {points: [{customdata: p.data[0].customdata[0], data: p.data[0]}]}); }"
    )
    title = page.locator("#run-dialog h2").text_content() or ""
    run = page.evaluate("document.getElementById('plot-training').data[0].customdata[0][2]")
    page.keyboard.press("Escape")  # a dialog that stays open keeps clicks from the rest of the page
    assert title == f"Run {run}"


def test_menus_choose_domain_and_split(page, hostile_results):
    page.locator("[data-menu=training][data-level='1']").select_option(HOSTILE[0])
    trace = "document.getElementById('plot-training').data[0]"
    validation = page.evaluate(f"{trace}.y")
    run = page.evaluate(f"{trace}.customdata[0][2]")
    page.locator("[data-menu=training][data-level='0']").select_option("train")
    training = page.evaluate(f"{trace}.y")
    with Store(hostile_results, read_only=True) as store:
        curve = store.curve(run)
    curve = curve[curve["domain"] == HOSTILE[0]]
    for split, found in (("validation", validation), ("train", training)):
        assert found == pytest.approx(curve[curve["split"] == split]["loss"].tolist())


def test_figures_follow_the_readers_theme(page):
    colour = "document.getElementById('plot-mixture').layout.font.color"
    ink = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
    light = page.evaluate(colour)
    assert light == page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    wait_until(page, f"{colour} !== {json.dumps(light)}")
    assert page.evaluate(colour) == page.evaluate(ink)
    page.emulate_media(color_scheme="light")
    wait_until(page, f"{colour} === {json.dumps(light)}")


def test_figures_fit_on_paper_and_come_back(page):
    width = "document.querySelector('#plot-mixture .main-svg').getBoundingClientRect().width"
    before = page.evaluate(width)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    wait_until(page, f"{width} < 700")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    wait_until(page, f"{width} === {before}")


def test_scales_are_drawn_to_the_target(browser, tmp_path):
    folder = make_autoscale(tmp_path / "results", PLAIN)
    with Store(folder, read_only=True) as store:
        path = write_report(store)
    with opened(browser, path) as page:
        drawn = figures(page)
        heads = page.locator("#evidence h3").all_text_contents()
    assert all(marks >= len(PLAIN) for _, marks in (drawn["scaling-0"], drawn["scaling-1"]))
    assert any(head.startswith("Hold-out") for head in heads)
