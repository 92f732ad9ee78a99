"""Boards as Markdown."""

from __future__ import annotations

from benchmark.board.boards import boards
from benchmark.board.render import pages


def test_a_board_in_markdown(make_result):
    group = [make_result(seed=0, value=0.5), make_result(seed=1, value=0.6)]
    group += [make_result("constant", seed=seed, value=0.2) for seed in (0, 1)]
    group.append(make_result("fedprox", status="failed", scores={}, error="ClientError: loss is not finite"))
    text = pages(boards(group))["leaderboards/phantom-ci--tiny.md"]
    lines = text.splitlines()
    at = lines.index("## Own hospitals, personal view")
    assert lines[0] == "# phantom/ci, preset tiny"
    assert lines[at + 4 : at + 6] == [
        "| | CE F1 micro | CE F1 macro | BLEU-4 | ROUGE-L | NLL, nats per token \u2193 | CE F1 micro, worst hospital | "
        "CE F1 micro, worst by chance |",
        f"|---|{7 * '---:|'}",
    ]
    assert lines[at + 6].startswith("| **fedmrg\\*** | .550 <sub>")
    assert lines[at + 7].startswith("| *constant* | .200 <sub>.15")
    assert "\\* fedmrg: this project's formalisation" in text
    assert "## Failed runs\n\n- fedprox, seed 0: failed: ClientError: loss is not finite\n" in text
    assert "\n\n\n" not in text
    assert "[the HTML page](html/phantom-ci--tiny.html)" in text
    assert "Own hospitals, global view; Differences from fedmrg; Costs" in text
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert headings == ["Own hospitals, personal view", "Unseen hospitals", "Failed runs"]


def test_the_index_links_every_board(make_result):
    text = pages(boards([make_result(seed=seed, value=0.5) for seed in (0, 1)]))["leaderboards/README.md"]
    assert "| [phantom/ci](phantom-ci--tiny.md) | tiny | 1 | 2 | fedmrg .500 | fedmrg .500 | fedmrg .500 |" in text
    assert "No result is committed yet" in pages([])["leaderboards/README.md"]


def test_markup_in_names_and_messages_is_text(make_result):
    evil = make_result("<img src=x>|`*[a](b)", value=0.9)
    failed = make_result("fedprox", status="failed", scores={}, error="<script>alert(1)</script>\x1b[31m http://x.y")
    text = pages(boards([evil, failed]))["leaderboards/phantom-ci--tiny.md"]
    assert "**\\<img src=x\\>\\|\\`\\*\\[a\\](b)**" in text
    assert "\\<script\\>alert(1)\\</script\\>?\\[31m http\\://x.y" in text
    assert "<img" not in text.replace("\\<img", "")
    assert "\x1b" not in text
