"""Reports in Chromium: they sort, show values, hide groups, change their theme, print, and ask for nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import PHONE, Browser
from tests.compare.report.conftest import runs, sweep  # noqa: F401  (fixtures)


@pytest.fixture
def page(runs: Path, sweep: Path, write_report: Callable[..., Path]) -> Path:  # noqa: F811
    """A report with every part."""
    return write_report(runs / "mf", sweep)


@pytest.fixture
def page_of_runs(tmp_path: Path, request: pytest.FixtureRequest, write_report: Callable[..., Path]) -> Path:
    """A report of groups that compare."""
    return write_report(request.getfixturevalue("runs"))


def _column(browser: Browser, table: str, column: int) -> list[str]:
    return [cell.text for cell in browser.all(f"#{table} tbody tr > :nth-child({column})")]


def _tip(browser: Browser) -> str:
    found = browser.all("#tip:not([hidden])")
    return found[0].text if found else ""


def test_a_page_logs_nothing_and_asks_for_nothing_but_itself(browser: Browser, page: Path) -> None:
    browser.requests()
    browser.open(page)
    browser.run("for (const each of document.querySelectorAll('button')) each.click()")
    assert browser.logs() == []
    assert browser.requests() == [page.as_uri()]


def test_a_click_sorts_by_numbers_and_another_one_the_other_way_round(browser: Browser, page_of_runs: Path) -> None:
    browser.open(page_of_runs)
    head = browser.all("#means thead th:nth-child(3)")[0]
    button = head.find_element("css selector", "button")
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [name[1:] for name in _column(browser, "means", 1)] == ["bprmf", "ease", "lightgcn"]
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [name[1:] for name in _column(browser, "means", 1)] == ["lightgcn", "ease", "bprmf"]


def test_the_keyboard_sorts_and_one_column_alone_says_so(browser: Browser, page_of_runs: Path) -> None:
    browser.open(page_of_runs)
    for column, key in ((1, Keys.ENTER), (3, Keys.SPACE)):
        button = browser.all(f"#runs-table thead th:nth-child({column}) button")[0]
        browser.run("arguments[0].focus()", button)
        button.send_keys(key)
    assert [head.text.split()[0] for head in browser.all("#runs-table th[aria-sort]")] == ["seed"]
    assert _column(browser, "runs-table", 3) == ["2", "2", "2", "1", "1", "1"]


def test_the_pointer_shows_the_values_of_marks_and_lines(browser: Browser, page_of_runs: Path) -> None:
    browser.open(page_of_runs)
    bar = browser.all("#groups-1 .bar")[0]
    ActionChains(browser.driver).move_to_element(bar).perform()
    assert _tip(browser) == "bprmf, 1-9: 0.1500"
    line = browser.all("#curve-1 .line")[0]
    ActionChains(browser.driver).move_to_element(line).perform()
    assert _tip(browser).startswith(("bprmf, seed ", "lightgcn, seed "))
    assert ": epoch " in _tip(browser)
    ActionChains(browser.driver).send_keys(Keys.ESCAPE).perform()
    assert _tip(browser) == ""


def test_arrow_keys_show_the_values_of_lines(browser: Browser, page_of_runs: Path) -> None:
    browser.open(page_of_runs)
    box = browser.all("#curve-1 .plot")[0]
    browser.run("arguments[0].focus({preventScroll: true}); arguments[0].scrollIntoView({block: 'center'})", box)
    box.send_keys(Keys.ARROW_RIGHT)
    box.send_keys(Keys.ARROW_RIGHT)
    assert _tip(browser) == "bprmf, seed 1: epoch 1, 0.604"
    box.send_keys(Keys.ARROW_UP)
    assert _tip(browser) == "lightgcn, seed 2: epoch 1, 0.5"


def test_a_name_of_the_legend_hides_its_group_and_shows_it_again(browser: Browser, page_of_runs: Path) -> None:
    browser.open(page_of_runs)
    button = browser.all("#curves .legend button")[0]

    def shown() -> list[bool]:
        return [line.is_displayed() for line in browser.all("#curve-1 .line")]

    button.click()
    assert (shown(), button.get_attribute("aria-pressed")) == ([False, False, True, True], "false")
    assert all(bar.is_displayed() for bar in browser.all("#groups-1 .bar"))
    button.click()
    assert (shown(), button.get_attribute("aria-pressed")) == ([True] * 4, "true")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_theme_follows_the_system_until_the_button_changes_it(browser: Browser, page: Path, dark: bool) -> None:
    browser.open(page, dark=dark)
    colors = {False: "rgb(255, 255, 255)", True: "rgb(20, 23, 28)"}

    def color() -> str:
        return str(browser.run("return getComputedStyle(document.body).backgroundColor"))

    assert color() == colors[dark]
    browser.all("#theme")[0].click()
    assert color() == colors[not dark]
    assert browser.all("#theme")[0].get_attribute("aria-pressed") == str(not dark).lower()
    browser.all("#theme")[0].click()
    assert color() == colors[dark]


def test_on_a_phone_the_page_is_as_wide_as_the_screen_and_tables_scroll_in_their_boxes(
    browser: Browser, page: Path
) -> None:
    browser.open(page, width=PHONE)
    assert browser.run("return document.documentElement.scrollWidth") == PHONE
    assert (
        browser.run(
            "return [...document.querySelectorAll('body *')].filter((each) => !each.closest('.box, svg, .skip') &&"
            "each.getBoundingClientRect().right > innerWidth + 0.5).map((each) => each.outerHTML.slice(0, 200))"
        )
        == []
    )
    wide = browser.run(
        "const box = document.getElementById('runs-table').parentElement; return box.scrollWidth > box.clientWidth"
    )
    assert wide is True


def test_no_text_of_a_figure_leaves_it(browser: Browser, page: Path) -> None:
    browser.open(page)
    outside = browser.run(
        "return [...document.querySelectorAll('.plot svg text')].filter((text) => {"
        "const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();"
        "return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;"
        "}).map((text) => text.textContent)"
    )
    assert outside == []


def test_without_its_script_all_is_there_and_nothing_pretends_to_be_a_button(browser: Browser, page: Path) -> None:
    browser.open(page, script=False)
    assert [button.is_displayed() for button in browser.all("button")] == [False]
    assert browser.all("#runs-table tbody tr")[0].is_displayed()
    assert browser.all("#curve-1 .line > title") != []
    browser.open(page)


def test_a_printed_page_is_light_and_has_every_section(browser: Browser, page: Path) -> None:
    browser.open(page, dark=True)
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert base64.b64decode(printed["data"])[:5] == b"%PDF-"
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not browser.all("#theme")[0].is_displayed()
    assert all(section.is_displayed() for section in browser.all("section"))


def test_the_keyboard_reaches_every_button_with_a_focus_that_is_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    reached = set()
    for _ in range(12):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        style = browser.run(
            "const each = document.activeElement, style = getComputedStyle(each);"
            "return [each.textContent.slice(0, 20), style.outlineStyle, style.outlineWidth]"
        )
        assert style[1:] == ["solid", "3px"]
        reached.add(style[0])
    assert {"Skip to the content", "Dark", "Results"} <= reached
