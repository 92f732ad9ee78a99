"""Numbers of a board as text: the cells of its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from benchmark.board.boards import Board
from benchmark.board.differences import Difference
from benchmark.board.page import Bar, Cell, Line
from benchmark.board.rows import Estimate, Row
from fedmrg_core.metrics.catalogue import Metric

DASH = "-"
FEWER_DRAWS = "Fewer draws than the rows above. Draws differ in difficulty, so compare no number with theirs."


def row_groups(board: Board) -> Iterator[tuple[Sequence[Row], str]]:
    """The rows with the most draws and, if there are any, the others with a note: they share no sortable column."""
    complete = board.complete
    others = [row for row in board.rows if row not in complete]
    yield complete, ""
    if others:
        yield others, FEWER_DRAWS


def column(metric: Metric) -> str:
    """A metric's title, with an arrow where lower is better."""
    return metric.title if metric.higher_is_better else f"{metric.title} \u2193"


def is_noted(algorithm: str) -> bool:
    """Whether the note on FedMRG applies: to it and its variants (`fedmrg-lite`)."""
    return algorithm.split(" ")[0].split("-")[0] == "fedmrg"


def line(row: Row, cells: Sequence[Cell], name: str = "") -> Line:
    """A row's line of a table. name: instead of the algorithm's."""
    noted, origin = is_noted(row.algorithm), origin_key(row)
    return Line(name or row.algorithm, row.trivial, noted, tuple(cells), row.variant, origin=origin)


def origin_key(row: Row) -> str:
    """The id, on a page, of what says where a row comes from: safe in an address whatever the row's name."""
    return f"from-{re.sub(r'[^A-Za-z0-9_-]', '_', row.algorithm)}"


def score_cell(found: Estimate | None, top: float) -> Cell:
    """A score with interval and bar; top: the column's highest end."""
    if found is None:
        return Cell(DASH)
    interval = "" if found.low == found.high else f"{decimal(found.low)} to {decimal(found.high)}"
    percent = [min(100.0, max(0.0, 100 * x / top)) for x in (found.value, found.low, found.high)]
    return Cell(decimal(found.value), interval, found.value, Bar(*percent))


def difference_cell(found: Difference | None) -> Cell:
    """A difference with interval and p."""
    if found is None:
        return Cell(DASH)
    interval = f"{decimal(found.low, '+')} to {decimal(found.high, '+')}, p {decimal(found.p_holm)}"
    return Cell(decimal(found.value, "+"), interval, found.value)


def cost_cell(value: float | None) -> Cell:
    """Megabytes or seconds."""
    if value is None:
        return Cell(DASH)
    return Cell(f"{value:.1f}" if value >= 10 else f"{value:.2f}", number=value)


def decimal(value: float, sign: str = "-") -> str:
    """Three decimals without the leading zero, as scores are written: `.512`, with sign "+" `+.021`."""
    text = f"{value:{sign}z.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
