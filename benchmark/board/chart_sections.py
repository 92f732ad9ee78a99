"""The parts of a board's page that show its numbers as pictures: charts, and heat maps, which are coloured tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.board.boards import Board
from benchmark.board.cells import DASH, decimal, line, row_groups
from benchmark.board.charts import Point, pairs, scatter
from benchmark.board.page import Cell, Chart, Section, Table
from benchmark.board.rows import Row
from benchmark.board.schema import possible_range
from benchmark.board.svg import csv_link
from fedmrg_core.metrics.catalogue import RANKED_BY, VIEWS, find

METRIC = RANKED_BY.rpartition("/")[2]
UNSEEN = f"unseen/global/{METRIC}"
HEAD = "test/personal/head_f1_micro14"
UPLOAD_MEANING = (
    "CE F1 micro of the own hospitals (personal view) against what all clients send in the whole run. The line is the "
    "Pareto front: rows on it (filled) score higher than every row that sends as little. It takes means only, so a "
    "step of it can be chance. The upper axis is the time of all uploads, one after another, through one link of "
    "100 Mbit/s; at 10 Mbit/s it is ten times as long, at 1000 a tenth. Rows that were never trained are left out."
)
HOSPITALS_MEANING = (
    "CE F1 micro of each hospital, mean over seeds, without intervals: hospitals are small, and on phantom each draw "
    "has other films under the same hospital's name. The stronger the colour, the higher."
)


def upload_section(board: Board) -> Iterator[Section]:
    """The ranked score against megabytes."""
    rows = [row for row in board.complete if not row.trivial and {RANKED_BY, "upload_mb"} <= row.estimates.keys()]
    points = [Point(row, row.estimates["upload_mb"].value, row.estimates[RANKED_BY]) for row in rows]
    chart = scatter("upload", f"{find(RANKED_BY).title} against upload", points, possible_range(RANKED_BY))
    if chart is not None:
        yield Section("Score against upload", UPLOAD_MEANING, charts=(chart,))


def unseen_charts(board: Board) -> tuple[Chart, ...]:
    """Own hospitals next to hospitals that took no part in training."""
    return _pairs(board, "unseen", "CE F1 micro, seen and unseen hospitals", {"seen": RANKED_BY, "unseen": UNSEEN})


def head_charts(board: Board) -> tuple[Chart, ...]:
    """The diagnosis head next to the text."""
    return _pairs(board, "head", "F1 micro of the diagnosis head and the text", {"head": HEAD, "text": RANKED_BY})


def _pairs(board: Board, name: str, title: str, keys: dict[str, str]) -> tuple[Chart, ...]:
    first, second = keys.values()
    rows = [row for row in board.complete if {first, second} <= row.estimates.keys()]
    found = [(row, row.estimates[first], row.estimates[second]) for row in rows]
    names = [f"{label} hospitals" if name == "unseen" else label for label in keys]
    return (pairs(name, title, (names[0], names[1]), found),) if found else ()


def heat(table: Table) -> Table:
    """A table of scores from 0 to 1 as a heat map: coloured, without intervals and bars, with its numbers as CSV."""
    lines = tuple(replace(one, cells=tuple(_shaded(cell.number) for cell in one.cells)) for one in table.lines)
    rows = [[one.name, *(cell.number for cell in one.cells)] for one in lines]
    return replace(table, lines=lines, csv=csv_link(["algorithm", *table.columns], rows))


def _shaded(number: float | None) -> Cell:
    if number is None:
        return Cell(DASH)
    return Cell(decimal(number), number=number, shade=100 * min(1.0, max(0.0, number)))


def hospitals_section(board: Board) -> Iterator[Section]:
    """Hospital by hospital, for the views that have differences: the others repeat their studies."""
    views = [view for view in VIEWS if view.differences]
    tables = [table for view in views for table in _hospital_tables(board, view.key, view.long_title)]
    if tables:
        yield Section("Hospital by hospital", HOSPITALS_MEANING, tuple(tables))


def _hospital_tables(board: Board, view: str, title: str) -> Iterator[Table]:
    names = sorted({name for row in board.rows for name in _hospitals(row, view)})
    for rows, note in row_groups(board) if names else ():
        keys = [f"{view}/{name}/{METRIC}" for name in names]
        lines = tuple(line(row, [Cell("", number=_mean(row, key)) for key in keys]) for row in rows)
        yield heat(Table(tuple(names), lines, title, note))
        title = ""


def _hospitals(row: Row, view: str) -> list[str]:
    start, end = f"{view}/", f"/{METRIC}"
    keys = [key for one in row.results for key in one["scores"] if key.startswith(start) and key.endswith(end)]
    return [name for key in keys if (name := key[len(start) : -len(end)]) and "/" not in name]


def _mean(row: Row, key: str) -> float | None:
    found: Sequence[float] = [
        score["value"] for one in row.results if (score := one["scores"].get(key, {})).get("value") is not None
    ]
    return math.fsum(found) / len(found) if found else None
