"""`fedmrg leaderboard`: every board, its page and the README's picture from `leaderboards/results/` alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.board import markdown, page
from benchmark.board.results import ROOT, Board, boards, load
from fedmrg_core.files import write_atomic

PICTURED = ("phantom/group", "tiny")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg leaderboard`."""
    parser.add_argument("--root", type=Path, default=ROOT, help="project folder (default: this checkout)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a text page is out of date")


def main(args: argparse.Namespace) -> int:
    """Rebuild or check the boards."""
    found = boards(load(args.root))
    texts = pages(found)
    if args.check:
        return _check(args.root, texts)
    _clear_old(args.root, texts)
    for name, text in texts.items():
        write_atomic(args.root / name, text.encode())
    board = pictured(found)
    if board:
        from benchmark.board.plots import draw

        draw(board, args.root / "docs" / "img" / "board.png")
    print(f"{len(found)} board(s) in leaderboards/ and leaderboards/html/")
    return 0


def pictured(found: list[Board]) -> Board | None:
    """The board of the README's picture: phantom/group, else the first one that has rows."""
    filled = [board for board in found if board.rows]
    return next((board for board in filled if (board.split, board.preset) == PICTURED), next(iter(filled), None))


def pages(found: list[Board]) -> dict[str, str]:
    """Path (from the project folder) -> text, of all that is written but the picture."""
    texts = {
        "leaderboards/README.md": markdown.index_page(found),
        "leaderboards/html/index.html": page.index_page(found),
    }
    for board in found:
        texts[f"leaderboards/{board.slug}.md"] = markdown.board_page(board)
        texts[f"leaderboards/html/{board.slug}.html"] = page.board_page(board)
    return texts


def _check(root: Path, texts: dict[str, str]) -> int:
    stale = [name for name, text in texts.items() if not (root / name).exists() or (root / name).read_text() != text]
    for name in stale:
        print(f"out of date: {name} (make leaderboard)")
    return 1 if stale else 0


def _clear_old(root: Path, texts: dict[str, str]) -> None:
    """Remove pages of boards whose results are gone: a board's name has a double dash in it."""
    for pattern in ("leaderboards/*--*.md", "leaderboards/html/*--*.html"):
        for path in root.glob(pattern):
            if str(path.relative_to(root)) not in texts:
                path.unlink()
