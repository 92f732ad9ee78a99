"""Boards are a function of the committed results alone."""

from __future__ import annotations

import argparse
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmark.board import markdown, page, results
from benchmark.board.columns import FORMALISATION
from benchmark.board.differences import gaps
from benchmark.commands import leaderboard
from benchmark.commands.suite import committed_text


@pytest.fixture
def project(tmp_path, make_result) -> Path:
    """A project folder with two seeds of fedmrg, one row that reads no film, and a failure."""
    group = [make_result(seed=0, value=0.5), make_result(seed=1, value=0.6), make_result("constant", value=0.2)]
    group.append(make_result("fedprox", status="failed", scores={}, error="ClientError: loss is not finite"))
    for result in group:
        path = results.result_path(result, tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(committed_text(result))
    return tmp_path


def build(root: Path, check: bool = False) -> int:
    return leaderboard.main(argparse.Namespace(root=root, check=check))


def test_markdown_ranks_marks_and_lists(project):
    assert build(project) == 0
    text = (project / "leaderboards" / "phantom-ci--tiny.md").read_text()
    first, second = re.findall(r"(?m)^\| (.*?) \| ([.\d]+) ", text)[:2]
    assert first == ("**fedmrg\\***", ".550")
    assert second == ("*constant*", ".200")
    assert FORMALISATION in text
    assert "- fedprox, seed 0: failed: ClientError: loss is not finite" in text
    assert "[phantom/ci](phantom-ci--tiny.md)" in (project / "leaderboards" / "README.md").read_text()


def test_the_page_is_whole_and_loads_nothing(project):
    build(project)
    html = (project / "leaderboards" / "html" / "phantom-ci--tiny.html").read_text()

    class Balance(HTMLParser):
        depth, cells = 0, 0

        def handle_starttag(self, tag, attrs):
            self.depth += tag not in ("meta", "br")
            self.cells += tag == "td"
            assert not {"src", "href"} & {k for k, v in attrs if "//" in (v or "")}

        def handle_endtag(self, tag):
            self.depth -= 1

    balance = Balance()
    balance.feed(html)
    assert balance.depth == 0
    assert balance.cells == 2 * (3 * (1 + 5) + (1 + 4))  # two rows: three score tables of 5 metrics, one of costs
    assert "--v:" in html
    assert "url(" not in html


def test_check_tells_a_stale_page_and_writes_nothing(project, capsys):
    build(project)
    assert build(project, check=True) == 0
    page = project / "leaderboards" / "phantom-ci--tiny.md"
    page.write_text("old")
    assert build(project, check=True) == 1
    assert "out of date: leaderboards/phantom-ci--tiny.md" in capsys.readouterr().out
    assert page.read_text() == "old"


def test_a_board_without_results_disappears(project):
    build(project)
    for path in (project / "leaderboards" / "results").rglob("*.json"):
        path.unlink()
    build(project)
    assert not (project / "leaderboards" / "phantom-ci--tiny.md").exists()
    assert "No result is committed yet" in (project / "leaderboards" / "README.md").read_text()


def test_the_picture_is_the_same_for_the_same_results(tmp_path, make_result):
    from benchmark.board.plots import draw

    (board,) = results.boards([make_result(), make_result("constant", value=0.1)])
    draw(board, tmp_path / "a.png")
    draw(board, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_committed_boards_are_up_to_date():
    assert build(results.ROOT, check=True) == 0


def test_differences_are_taken_seed_by_seed_and_corrected_over_rows(tmp_path, make_result):
    # fedmrg gains .1 .2 .3 over fedavg: +.200, t = 3.464, p = .0742, of two rows .148; constant has one seed, no row
    pairs = {"fedavg": (0.1, 0.2, 0.3), "fedmrg": (0.2, 0.4, 0.6), "fedprox": (0.1, 0.3, 0.2)}
    group = [make_result(name, seed=s, value=v) for name, values in pairs.items() for s, v in enumerate(values)]
    (board,) = results.boards([*group, make_result("constant", seed=0, value=0.05)])
    found = gaps(board, "test/personal/ce_f1_micro14")
    assert set(found) == {"fedmrg", "fedprox"}
    assert found["fedmrg"].value == pytest.approx(0.2)
    assert found["fedmrg"].p_holm == pytest.approx(2 * 0.0742, abs=2e-4)
    assert found["fedprox"].p_holm == 1.0
    text, html = markdown.board_page(board), page.board_page(board)
    assert "## Differences from fedavg" in text
    assert "+.200 <sub>-.048 to +.448, p .148</sub>" in text
    assert "<h2>Differences from fedavg</h2>" in html
    assert "p .148" in html


def test_a_board_without_common_seeds_has_no_differences(make_result):
    (board,) = results.boards([make_result(seed=0), make_result("fedprox", seed=1)])
    assert gaps(board, "test/personal/bleu4") == {}
    assert "Differences" not in markdown.board_page(board)


def test_the_head_stands_beside_the_text_where_a_row_has_one(make_result):
    result = make_result()
    result["scores"]["test/personal/head_f1_micro14"] = {**result["scores"]["test/personal/bleu4"], "value": 0.765}
    (board,) = results.boards([result, make_result("constant", value=0.1)])
    text, html = markdown.board_page(board), page.board_page(board)
    section = text.split("## The diagnosis head beside the text")[1].split("## Costs")[0]
    assert ".765" in section
    assert "constant" not in section
    assert "<h2>The diagnosis head beside the text</h2>" in html
