"""The pages in a real browser: filter, sorting, speed of the link, phone, keyboard. Needs playwright and Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.board.boards import boards
from benchmark.board.render import pages
from benchmark.reading.screenshots import BROWSERS
from tests.benchmark.test_read import _make, _read  # noqa: F401

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome on PATH")
SIZES = {"desk": (1400, 900), "phone": (390, 800)}
ENOUGH = 60
"""Presses of Tab within which a page's control is reached."""


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(name="visit")
def _visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file as a tab of a size; what the browser complains of fails the test."""
    said: list[str] = []

    def visit(path: Path, size: str = "desk", **options: Any) -> Any:
        width, height = SIZES[size]
        tab = browser.new_page(viewport={"width": width, "height": height}, **options)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(path.as_uri())
        return tab

    yield visit
    assert said == []


@pytest.fixture(name="board")
def _board(tmp_path: Path, make_result: Callable[..., dict[str, Any]]) -> Path:
    def row(name: str, value: float, megabytes: float, seconds: float) -> dict[str, Any]:
        made = make_result(name, value=value)
        sent = {**made["communication"], "upload_bytes": megabytes * 1e6, "download_bytes": megabytes * 1e6}
        cost = {"client_cpu_seconds": seconds, "device": "cpu, float32"}
        return {**made, "communication": sent, "provenance": {**made["provenance"], **cost}}

    rows = [row("fedavg", 0.6, 450, 60), row("fedmrg", 0.62, 4.5, 260), row("fedlora", 0.55, 45, 60)]
    found = boards([*rows, make_result("constant", value=0.1)])
    path = tmp_path / "board.html"
    path.write_text(pages(found)["leaderboards/html/phantom-ci--tiny.html"], encoding="utf-8")
    return path


def shown(tab: Any, selector: str) -> list[str]:
    """The rows' names in the visible elements of a selector."""
    return [one.get_attribute("data-row") for one in tab.locator(selector).all() if one.is_visible()]


def press_until(tab: Any, key: str, wanted: str) -> None:
    """Press a key until an element of that selector has the focus, which must be visible."""
    for _ in range(ENOUGH):
        tab.keyboard.press(key)
        if tab.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"{wanted} is not reached by {key}")


def test_the_filter_holds_for_tables_and_charts(visit: Callable[..., Any], board: Path) -> None:
    tab = visit(board)
    tab.fill("input[type=search]", "fedmrg lora")
    assert set(shown(tab, "tr[data-row]")) == set(shown(tab, "g[data-row]")) == {"fedmrg", "fedlora"}
    assert tab.locator("#filter output").text_content() == "2 of 4 rows"
    tab.fill("input[type=search]", "")
    tab.check("input[name=trivial]")
    assert "constant" not in shown(tab, "tr[data-row]")


def test_a_column_sorts_by_keyboard(visit: Callable[..., Any], board: Path) -> None:
    tab = visit(board)
    press_until(tab, "Tab", "section th:nth-child(2) button")
    rows = "section:has(th[aria-sort]) table:has(th[aria-sort]) tr[data-row]"
    for key, order in (("Enter", "descending"), ("Space", "ascending")):
        tab.keyboard.press(key)
        assert tab.evaluate("document.activeElement.parentElement.getAttribute('aria-sort')") == order
        names = ["fedmrg", "fedavg", "fedlora", "constant"]
        assert shown(tab, rows) == (names if order == "descending" else names[::-1])


def test_the_reader_chooses_the_speed_of_the_link(visit: Callable[..., Any], board: Path) -> None:
    """fedavg moves 900 MB and fedmrg 9 MB: 60 + 72 s and 260.7 s at 100 Mbit/s, 2 h and 332 s at 1 Mbit/s."""
    tab = visit(board)

    def place(name: str) -> float:
        moved = tab.locator(f"#link ~ figure g[data-row={name}] .mark").get_attribute("transform")
        return float(re.findall(r"[\d.]+", moved)[0])

    assert place("fedavg") < place("fedmrg")
    assert tab.locator("#link output").text_content() == "100 Mbit/s: fastest 1.1 min, slowest 4.3 min"
    tab.fill("input[name=own]", "1")
    assert place("fedavg") > place("fedmrg")
    assert tab.locator("#link output").text_content() == "1 Mbit/s: fastest 5.5 min, slowest 2.0 h"
    assert tab.locator("input[name=speed]:checked").count() == 0
    dots = [tab.locator(f"#link ~ figure g[data-row={name}] circle.hollow").count() for name in ("fedavg", "fedmrg")]
    assert dots == [1, 0], "fedmrg is faster and better there"


def test_a_phone_shows_names_and_scrolls_tables_alone(visit: Callable[..., Any], board: Path) -> None:
    tab = visit(board, "phone")
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
    table = tab.locator(".scroll:has(table)").first
    table.evaluate("one => one.scrollLeft = 300")
    assert table.evaluate("one => one.scrollLeft") > 0
    assert table.locator("tbody th").first.bounding_box()["x"] >= 0


def test_light_and_dark(visit: Callable[..., Any], board: Path) -> None:
    tabs = [visit(board, color_scheme=scheme) for scheme in ("light", "dark")]
    assert len({tab.evaluate("getComputedStyle(document.body).color") for tab in tabs}) == 2


def test_without_a_script_everything_is_there(browser: Any, board: Path) -> None:
    tab = browser.new_page(java_script_enabled=False)
    tab.goto(board.as_uri())
    assert not tab.locator("#link").is_visible()
    assert not tab.locator("#filter").is_visible()
    assert tab.get_by_role("columnheader", name="at 1000 Mbit/s").is_visible()


def test_the_report_reader_by_keyboard(visit: Callable[..., Any], make: Any, read: Any, tmp_path: Path) -> None:
    page = tmp_path / "reader.html"
    assert read(make("fedavg", "No acute disease."), make("fedmrg", "Pulmonary edema."), "--out", str(page)) == 0
    tab = visit(page)
    cards = tab.locator("#studies > *:visible")
    every = cards.count()
    press_until(tab, "Tab", "select[name=hospital]")
    tab.keyboard.press("ArrowDown")
    assert 0 < cards.count() < every
    assert "hospital: " in tab.locator("#count").text_content()
    phone = visit(page, "phone")
    assert phone.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
