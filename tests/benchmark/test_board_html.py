"""Boards as HTML pages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from benchmark.board.boards import boards
from benchmark.board.origins import command
from benchmark.board.render import pages


class Outline(HTMLParser):
    """Counts open tags and cells; collects addresses that a page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.cells, self.loaded = list[str](), 0, list[str]()
        self.ids, self.targets = list[str](), set[str]()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.cells += tag == "td"
        self.ids += [value for key, value in attrs if key == "id"]
        self.targets |= {value[1:] for key, value in attrs if key == "href" and value.startswith("#")}
        self.loaded += [value for key, value in attrs if key in ("src", "href") and "//" in (value or "")]
        if tag not in ("meta", "br", "input"):
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
    assert outline.cells == 2 * (3 * 7 + 4)  # two rows: three score tables of 7 metrics, one of costs
    assert len(set(outline.ids)) == len(outline.ids)
    assert outline.targets <= set(outline.ids)
    assert outline.loaded == []
    assert "url(" not in page


def test_cells_carry_what_sorting_and_bars_need(page):
    name = '<th scope="row" data-v="fedmrg"><a href="#from-fedmrg">fedmrg</a>*</th>'
    assert f'<tr data-row="fedmrg">{name}<td data-v="0.500000">.500 <small>.450 to .550</small>' in page
    assert '<div class="bar" style="--v:90.9;--l:81.9;--h:100.0">' in page
    assert '<tr data-row="constant" data-kind="trivial"><th scope="row" data-v="constant">' in page


def test_each_row_says_where_it_comes_from(make_result):
    results = [make_result(seed=seed, overrides=["train.rounds=3"]) for seed in (1, 0)]
    (page,) = [text for name, text in pages(boards(results)).items() if name.startswith("leaderboards/html/phantom")]
    assert '<details id="from-fedmrg" data-row="fedmrg"><summary>fedmrg*</summary>' in page
    links = re.findall(r'seed (\d): <a href="([^"]*)">.*?<code>(\w*)</code>, <code>([^<]*)</code>', page)
    assert [(seed, commit) for seed, _, commit, _ in links] == [("0", "0123456789ab"), ("1", "0123456789ab")]
    assert re.fullmatch(r"\.\./results/phantom/ci/tiny/fedmrg--[0-9a-f]{8}--s0\.json", links[0][1])
    command = "fedmrg bench --algo fedmrg --split phantom/ci --preset tiny --seed 1 --set train.rounds=3"
    assert links[1][3] == command


def test_a_command_names_what_the_reader_must_give(make_result):
    result = make_result("it's")
    result["config"] |= {"data": {"path": "iu"}, "faults": {"policy": "drop"}}
    assert command(result) == (
        "fedmrg bench --algo 'it'\"'\"'s' --split phantom/ci --preset tiny --seed 0 --data DIR --faults FILE"
    )


def test_sections_have_their_headings(page):
    for title in ("Own hospitals, personal view", "Unseen hospitals", "Costs"):
        assert f"<h2>{title}</h2>" in page
    assert "Condition by condition" not in page, "no row has conditions"


def test_a_view_without_scores_has_no_section(make_result):
    result = make_result()
    result["scores"] = {key: score for key, score in result["scores"].items() if not key.startswith("unseen")}
    assert all("Unseen hospitals" not in text for text in pages(boards([result])).values())


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
