"""What travels, by group, of the results that say so."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.board.boards import Board
from benchmark.board.cells import cost_cell, line, row_groups
from benchmark.board.page import Cell, Section, Table
from benchmark.board.rows import Row

WAYS = {"upload": "up", "download": "down"}
MEANING = (
    "MB of all hospitals over the whole run, mean over seeds. Delta is the update of the shared parameters, as coded; "
    "shared are these parameters; every other group is a method's own. Rows whose results are older than these "
    "numbers have dashes."
)


def communication_section(board: Board) -> Iterator[Section]:
    """A table of the groups that any row sends; nothing where no result has groups."""
    groups = {key: None for row in board.rows for key in _megabytes(row)}
    keys = sorted(groups, key=lambda key: (list(WAYS).index(key[0]), key[1] not in ("delta", "shared"), key[1]))
    columns = tuple(f"{WAYS[way]}: {group}" for way, group in keys)
    tables = []
    for rows, note in row_groups(board) if keys else ():
        lines = [line(row, _cells(_megabytes(row), keys)) for row in rows]
        tables.append(Table(columns, tuple(lines), note=note))
    if tables:
        yield Section("Communication by group", MEANING, tuple(tables))


def _megabytes(row: Row) -> dict[tuple[str, str], float]:
    """(direction, group) -> MB; empty if one of the row's results does not say."""
    found = [one["communication"].get("by_group") for one in row.results]
    if not all(found):
        return {}
    sent: dict[tuple[str, str], float] = {}
    for groups in found:
        for way in WAYS:
            for group, size in groups.get(way, {}).items():
                sent[way, group] = sent.get((way, group), 0.0) + size / 1e6 / len(found)
    return sent


def _cells(sent: dict[tuple[str, str], float], keys: list[tuple[str, str]]) -> list[Cell]:
    return [cost_cell(sent.get(key, 0.0) if sent else None) for key in keys]
