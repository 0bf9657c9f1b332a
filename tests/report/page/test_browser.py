"""The report in a real browser: from a file, without errors, and quick with a large circuit."""

import time

import pytest
from support.made.pages import saved

from benchmark.config import configured_alone

pytestmark = pytest.mark.slow
SCRIPT = "<img src=x onerror=\"document.title='run'\">"
NAMES = {"task": "ioi", "ablation": "mean", "model": "toy"}
WAIT = 20


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The address of a report on three records of one graph, one of them of a strange name."""
    results = tmp_path_factory.mktemp("results")
    for seed, (key, method) in enumerate((("eap", "eap"), ("own", SCRIPT), ("random", "random"))):
        saved(results, key, [30, 300, 3000], seed=seed, names=NAMES | {"method": method})
    configured_alone("report", results_dir=str(results)).run()
    return f"file://{results / 'reports' / 'report.html'}"


@pytest.fixture
def page(browser, place):
    """Shows a page of the report; at the end there must be no error."""

    def shown(address):
        browser.get("about:blank")
        browser.get(f"{place}{address}")
        until(browser, f"document.body.dataset.shown === {address!r}")
        return browser

    yield shown
    errors = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert errors == []
    assert browser.title == "ablation-bench"


def until(browser, condition):
    """Wait for a condition of the page; what it gives."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if found := browser.execute_script(f"return {condition}"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {WAIT} s: {condition}")


def count(browser, selector):
    return browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector)


def click(browser, selector):
    browser.execute_script("document.querySelector(arguments[0]).click()", selector)


def move(browser, selector, value):
    """Give an input a value as a hand does."""
    browser.execute_script(
        "const [a, b] = arguments, e = document.querySelector(a); e.value = b;"
        "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));",
        selector,
        value,
    )


def test_filters_filter_the_table_and_the_charts(page):
    browser = page("#/")
    until(browser, "document.querySelectorAll('.chart svg.marks').length === 3")
    rows, points = "#leaderboard tbody tr", ".cost .mark-symbol.role-mark path"
    assert (count(browser, rows), count(browser, points)) == (3, 3)
    click(browser, "[data-axis=method] input")
    assert count(browser, rows) == 2
    until(browser, f"document.querySelectorAll('{points}').length === 2")
    assert browser.execute_script(
        "return document.querySelector('#leaderboard p').textContent"
    ) == ("2 of 3 cells")


def test_a_click_on_a_head_sorts_and_a_click_on_a_cell_leads_to_its_record(page):
    browser = page("#/")
    rows = "[...document.querySelectorAll('#leaderboard tbody tr')]"
    seeds = f"{rows}.map(row => row.cells[1].textContent)"
    click(browser, "#leaderboard th:nth-child(2) button")
    assert browser.execute_script(f"return {seeds}") == ["0", "1", "2"]
    click(browser, "#leaderboard th:nth-child(2) button")
    assert browser.execute_script(f"return {seeds}") == ["2", "1", "0"]
    click(browser, "#leaderboard tbody tr:last-child a")
    until(browser, "document.querySelector('svg.graph') !== null")
    assert browser.current_url.endswith("#/record/eap")


def test_the_slider_changes_the_drawing_and_3000_edges_answer_within_a_second(page):
    browser = page("#/record/eap")
    drawn = (
        "[...document.querySelectorAll('path.edges')]"
        ".map(path => path.getAttribute('d').split('M').length - 1).reduce((a, b) => a + b, 0)"
    )
    assert browser.execute_script(f"return {drawn}") == 30
    for number, size in ((1, 300), (2, 3000)):
        seconds = browser.execute_script(
            "const s = document.querySelector('input.first'), t = performance.now();"
            f"s.value = {number}; s.dispatchEvent(new Event('input'));"
            "document.querySelector('.drawing').getBoundingClientRect();"
            "return (performance.now() - t) / 1000"
        )
        assert browser.execute_script(f"return {drawn}") == size
        assert seconds < 1
    click(browser, ".edges button[type=button]:not([hidden])")


def test_a_node_shows_its_edges_and_a_search_finds_it(page):
    browser = page("#/record/eap")
    node = browser.execute_script(
        "return document.querySelector('.edges tbody tr').cells[1].textContent"
    )
    choose = f"document.querySelector('[data-name=\"{node}\"]').dispatchEvent(new Event('click'))"
    browser.execute_script(choose)
    titles = browser.execute_script(
        "return [...document.querySelectorAll('.edges h3')].map(h => h.textContent)"
    )
    into = int(titles[0].removeprefix("into it: "))
    assert into > 0 and titles[1].startswith("out of it: ")
    ends = browser.execute_script(
        "return [...document.querySelector('.edges tbody').rows].map(r => r.cells[1].textContent)"
    )
    assert ends == [node] * into
    browser.execute_script(choose)
    move(browser, ".circuit input[type=search]", "m1")
    found = browser.execute_script(
        "return [...document.querySelectorAll('.node.found')].map(n => n.dataset.name)"
    )
    assert found == ["m1", "m10", "m11"]


def test_two_circuits_overlaid_agree_as_the_library_says(page):
    browser = page("#/record/eap")
    move(browser, ".circuit select", "random")
    until(browser, "document.querySelector('.overlap') !== null")
    words = browser.execute_script("return document.querySelector('.overlap').textContent")
    both, here, there = (int(w.split()[-1]) for w in words.split(";")[0].split(","))
    assert both + here == both + there == 30
    assert f"Jaccard {both / (60 - both):.3f}" in words


def test_a_name_of_a_user_is_shown_and_not_run(page):
    browser = page("#/")
    texts = browser.execute_script("return document.querySelector('#leaderboard').textContent")
    assert SCRIPT in texts
    browser = page("#/record/own")
    assert SCRIPT in browser.execute_script("return document.querySelector('h2').textContent")
    assert count(browser, "img") == 0


def test_records_of_a_folder_are_read_when_they_are_shown(browser, tmp_path):
    saved(tmp_path, "eap", [30, 300])
    configured_alone("report", results_dir=str(tmp_path), largest_file_mb=0.001).run()
    browser.get(f"file://{tmp_path / 'reports' / 'report' / 'index.html'}#/record/eap")
    until(browser, "document.querySelector('svg.graph') !== null")
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


@pytest.mark.parametrize("width", [390, 1300])
def test_no_page_is_wider_than_the_window(page, browser, width):
    metrics = dict(width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for address in ("#/", "#/records", "#/record/eap"):
            page(address)
            until(browser, f"document.documentElement.scrollWidth <= {width}")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
