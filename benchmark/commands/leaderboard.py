"""`fedmrg leaderboard`: every board, its pages and the README's picture from `leaderboards/results/` alone.

    fedmrg leaderboard --with RUN_ID      # a copy of the board with runs of your own as rows, in the run's folder
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmark.board.boards import Board, boards
from benchmark.board.render import pages
from benchmark.board.results import Result, board_id, load, note
from benchmark.board.study_values import StudyValues, of_run, read
from fedmrg_core.errors import DataError
from fedmrg_core.files import write_atomic
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import RunFolder, run_folder

PICTURED = ("phantom/group", "tiny", ())


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg leaderboard`."""
    parser.add_argument("--root", type=Path, default=ROOT, help="project folder (default: this checkout)")
    parser.add_argument("--with", dest="runs", metavar="RUN_ID", nargs="+", default=[], help="show own runs as rows")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")


def main(args: argparse.Namespace) -> int:
    """Rebuild or check the boards; 1 if a check finds a page that is out of date."""
    if not (args.root / "leaderboards").is_dir():
        raise DataError("has no folder leaderboards/: give the project folder with --root", file=str(args.root))
    if args.runs:
        return _with_runs(args.root, args.runs)
    found = boards(load(args.root), partial(read, root=args.root), partial(note, root=args.root))
    texts = pages(found)
    if args.check:
        return _check(args.root, texts)
    for path in _leftover(args.root, texts):
        path.unlink()
    for name, text in texts.items():
        write_atomic(args.root / name, text.encode())
    board = pictured(found)
    if board:
        from benchmark.board.plots import board_picture

        write_atomic(args.root / "docs" / "img" / "board.png", board_picture(board))
    print(f"{len(found)} board(s) in leaderboards/ and leaderboards/html/")
    return 0


def _with_runs(root: Path, names: Sequence[str]) -> int:
    """Write, for each board that the runs belong to, its page with them as rows; the committed pages stay as they are.
    A row is named after the algorithm and the end of the run's name."""
    own: list[tuple[Result, Path]] = []
    for name in dict.fromkeys(names):
        folder = run_folder(root / "runs", name)
        result = RunFolder(folder).finished_result()
        own.append(({**result, "algorithm": f"{result['algorithm']} {name.rpartition('-')[2]}"}, folder))
    folders = {id(result): folder for result, folder in own}

    def values(result: Result) -> StudyValues | None:
        return of_run(folders[id(result)]) if id(result) in folders else read(result, root)

    ids = {board_id(result) for result, _ in own}
    results = [*(result for result in load(root) if board_id(result) in ids), *(result for result, _ in own)]
    for board in boards(results, values, partial(note, root=root)):
        page = pages([board])[f"leaderboards/html/{board.slug}.html"].encode()
        reasons = {id(result): why for result, why in zip(board.incomparable, board.reasons, strict=True)}
        for result, folder in own:
            if board_id(result) == board.id:
                write_atomic(folder / "board.html", page)
                print(folder / "board.html")
                if id(result) in reasons:
                    print(f"  {result['algorithm']} is not ranked: {reasons[id(result)]}")
    return 0


def pictured(found: list[Board]) -> Board | None:
    """The board of the README's picture: phantom/group, or else the first board with rows."""
    filled = [board for board in found if board.rows]
    chosen = [board for board in filled if (board.split, board.preset, board.overrides) == PICTURED]
    return next(iter([*chosen, *filled]), None)


def _check(root: Path, texts: dict[str, str]) -> int:
    stale = [name for name, text in texts.items() if not _is_current(root / name, text)]
    stale += [str(path.relative_to(root)) for path in _leftover(root, texts)]
    for name in stale:
        print(f"out of date: {name} (make leaderboard)")
    return 1 if stale else 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _leftover(root: Path, texts: dict[str, str]) -> list[Path]:
    """Pages of boards that have no results any more. A board's name has a double dash in it."""
    paths = [*root.glob("leaderboards/*--*.md"), *root.glob("leaderboards/html/*--*.html")]
    return [path for path in paths if str(path.relative_to(root)) not in texts]
