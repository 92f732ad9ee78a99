"""Boards as HTML pages."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from benchmark.board.boards import boards
from benchmark.board.render import pages


class Outline(HTMLParser):
    """Counts open tags and cells; collects addresses that a page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.cells, self.loaded = list[str](), 0, list[str]()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.cells += tag == "td"
        self.loaded += [value for key, value in attrs if key in ("src", "href") and "//" in (value or "")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(make_result) -> str:
    results = [make_result(value=0.5), make_result("constant", value=0.2)]
    return pages(boards(results))["leaderboards/html/phantom-ci--tiny.html"]


def test_the_page_is_well_formed_and_loads_nothing(page):
    outline = Outline(page)
    assert outline.open == []
    assert outline.cells == 2 * (3 * (1 + 7) + (1 + 4))  # two rows: three score tables of 7 metrics, one of costs
    assert outline.loaded == []
    assert "url(" not in page


def test_cells_carry_what_sorting_and_bars_need(page):
    assert '<tr><td data-v="fedmrg">fedmrg*</td><td data-v="0.500000">.500 <small>.450 to .550</small>' in page
    assert '<div class="bar" style="--v:90.9;--l:81.9;--h:100.0">' in page
    assert '<tr class="trivial"><td data-v="constant">constant</td>' in page


def test_sections_have_their_headings(page):
    for title in ("Own hospitals, personal view", "Unseen hospitals", "Costs"):
        assert f"<h2>{title}</h2>" in page


def test_markup_in_names_is_text(make_result):
    page = pages(boards([make_result('"><script>x</script>\x1b[31m')]))["leaderboards/html/phantom-ci--tiny.html"]
    assert "<script>x" not in page
    assert "&#34;&gt;&lt;script&gt;x&lt;/script&gt;?[31m" in page
    assert Outline(page).open == []


def test_the_index_links_every_board(make_result):
    index = pages(boards([make_result(value=0.5)]))["leaderboards/html/index.html"]
    assert '<a href="phantom-ci--tiny.html">phantom/ci</a>' in index
    assert Outline(index).open == []
    assert "No result is committed yet" in pages([])["leaderboards/html/index.html"]
