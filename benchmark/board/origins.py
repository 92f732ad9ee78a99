"""Where each row of a board comes from: its result files, their commits, and the commands that run them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from benchmark.board.boards import Board
from benchmark.board.cells import line, origin_key
from benchmark.board.page import Origin, Run
from benchmark.board.results import Result, result_path

UNKNOWN = "unknown"


def origins(board: Board) -> Iterator[Origin]:
    """One per row, in the order of the rows."""
    for row in board.rows:
        yield Origin(origin_key(row), line(row, []), tuple(_run(result) for result in row.results))


def command(result: Result) -> str:
    """The command that runs a result again, at its commit and with its libraries. A real data set's folder is on the
    reader's machine, so that its place is a word to replace.

    >>> command({"algorithm": "fedavg", "split": "phantom/ci", "preset": "tiny", "seed": 0, "config": {}})
    'fedmrg bench --algo fedavg --split phantom/ci --preset tiny --seed 0'
    """
    words = ["fedmrg", "bench"]
    for name, key in (("algo", "algorithm"), ("split", "split"), ("preset", "preset"), ("seed", "seed")):
        words += [f"--{name}", str(result[key])]
    config = result["config"]
    words += ["--data", "DIR"] if config.get("data", {}).get("path") else []
    words += ["--faults", "FILE"] if config.get("faults") else []
    words += ["--set", *result["overrides"]] if result.get("overrides") else []
    return shlex.join(words)


def _run(result: Result) -> Run:
    path = result_path(result, Path())
    link = f"../{quote(path.relative_to('leaderboards').as_posix())}"
    commit = str(result.get("provenance", {}).get("git_sha") or UNKNOWN)
    return Run(result["seed"], path.name, link, commit[:12], command(result))
