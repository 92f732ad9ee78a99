"""The sections of a board's page that compare rows: each with the reference row, and variants with their method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from benchmark.board.boards import Board
from benchmark.board.cells import column, difference_cell, line, row_groups
from benchmark.board.differences import Difference, corrected, differences, paired, reference
from benchmark.board.page import Section, Table
from benchmark.board.rows import Row
from fedmrg_core.metrics.catalogue import RANKED_BY, VIEWS, Metric, View, shown

HOW = (
    "draw by draw on the same data, base and patients: mean, 95 % interval of a bootstrap over draws and patients, and "
    "p after Holm's correction over the rows of a column."
)
VARIANTS = (
    f"Each variant less the row of its method, on the draws that both have, {HOW} A single draw says nothing about "
    "another draw."
)


def difference_sections(board: Board) -> Iterator[Section]:
    """Differences from the reference row, and of variants from their methods, where rows share draws."""
    base = reference(board)
    views = [view for view in VIEWS if view.differences]
    if base is not None and base.draws > 1:
        tables = tuple(table for view in views for table in _from_reference(board, base, view))
        text = f"Each row less {base.algorithm}, {HOW} fedmrg compare A B compares two runs of one seed study by study."
        if tables:
            yield Section(f"Differences from {base.algorithm}", text, tables)
    tables = tuple(table for view in views for table in _variants(board, view))
    if tables:
        yield Section("Variants less their method", VARIANTS, tables)


def _compared(board: Board, view: View) -> list[Metric]:
    """The scores whose differences are shown: not those of the worst hospital, which are mostly chance."""
    known = {key for row in board.rows for key in row.estimates}
    return [metric for metric in shown("board") if not metric.prefix and f"{view.key}/{metric.key}" in known]


def _from_reference(board: Board, base: Row, view: View) -> Iterator[Table]:
    title, metrics = view.long_title, _compared(board, view)
    for rows, note in row_groups(board):
        columns = [differences(rows, base, f"{view.key}/{metric.key}") for metric in metrics]
        table = _table([(row, row.algorithm) for row in rows], columns, metrics, title, note)
        if table.lines:
            yield table
            title = ""


def _variants(board: Board, view: View) -> Iterator[Table]:
    """One table per number of common draws."""
    methods = {row.algorithm: row for row in board.rows}
    groups: dict[int, list[tuple[Row, Row]]] = defaultdict(list)
    for row in board.rows:
        method = methods.get(row.method)
        if row.variant and method is not None:
            groups[len(row.values[RANKED_BY].keys() & method.values[RANKED_BY].keys())].append((row, method))
    title, metrics = view.long_title, _compared(board, view)
    for draws, pairs in sorted(groups.items(), reverse=True):
        columns = [
            corrected({row.algorithm: paired(row, method, f"{view.key}/{metric.key}") for row, method in pairs})
            for metric in metrics
        ]
        names = [(row, f"{row.algorithm} less {method.algorithm}") for row, method in pairs]
        table = _table(names, columns, metrics, title, f"{draws} common draw{'s' if draws > 1 else ''}.")
        if table.lines:
            yield table
            title = ""


def _table(
    rows: Sequence[tuple[Row, str]],
    columns: Sequence[Mapping[str, Difference]],
    metrics: Sequence[Metric],
    title: str,
    note: str,
) -> Table:
    """The rows that have any difference, under their names."""
    known = [(row, name) for row, name in rows if any(row.algorithm in found for found in columns)]
    lines = [line(row, [difference_cell(found.get(row.algorithm)) for found in columns], name) for row, name in known]
    return Table(tuple(map(column, metrics)), tuple(lines), title, note)
