"""Tables that people bring, read by one set of rules: text cells, one word list for "nothing", one numbering of rows.

    table = read_table(Path("manifest.csv"), required=("image", "report"))
    reports = table.column("report")

Formats: CSV (.csv, .tsv; also .gz), JSON lines (.jsonl, .ndjson; also .gz) and Parquet (.parquet); see `table_formats`.
A cell that holds only a word of NULLS means nothing: it becomes "" and is counted in `Table.nulls`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fedmrg_core.data.table_formats import INNER_BREAK, Rows, csv_rows, json_rows, parquet_rows
from fedmrg_core.errors import DataError, choose, one_line

log = logging.getLogger(__name__)

NULLS = frozenset({"nan", "null", "none", "na", "n/a", "<na>", "#n/a", "nat"})
"""Words, in any case, that programs write for "nothing here" (pandas, R, SQL, Excel). No report consists of one."""

FORMATS: dict[str, Callable[[Path, str], Rows]] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".parquet": parquet_rows,
}
"""A file name's suffix (before .gz) -> its reader."""


@dataclass(frozen=True)
class Table:
    """Rows as text. `numbers`: each row's number as a spreadsheet shows it (the header of a CSV file is row 1), as a
    line of JSON lines, or counted from 1 in Parquet. `nulls`: by column, how many cells held a word for "nothing"."""

    file: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    nulls: dict[str, int] = field(default_factory=dict)

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self.header

    def column(self, name: str) -> list[str]:
        """A column's values; "" for each row where the table has no such column or the row is too short."""
        if name not in self.header:
            return [""] * len(self.rows)
        at = self.header.index(name)
        return [row[at] if at < len(row) else "" for row in self.rows]

    def unique(self, columns: Sequence[str]) -> None:
        """Raises DataError, naming both rows, where two rows agree in all of these columns."""
        first: dict[tuple[str, ...], int] = {}
        for row, *cells in zip(self.numbers, *map(self.column, columns), strict=True):
            key = tuple(cell.strip() for cell in cells)
            if first.setdefault(key, row) != row:
                what = ", ".join(f"{name} {cell!r:.60}" for name, cell in zip(columns, key, strict=True))
                raise DataError(f"{what} is in row {first[key]} too", self.file, row)

    def require(self, columns: Sequence[str]) -> None:
        """Raises DataError naming the first column that is missing, and the nearest one that exists."""
        for name in columns:
            if name in self.header:
                continue
            lower = {column.lower(): column for column in self.header}
            near = get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
            hint = f" Is it '{one_line(lower[near[0]])}'? Rename it." if near else ""
            columns_here = one_line(", ".join(self.header)) or "none"
            raise DataError(f"no column '{name}'.{hint} Columns: {columns_here}", self.file)

    def refuse_lookalikes(self, known: Sequence[str]) -> None:
        """Raises DataError for a column that would be passed over although it looks like a known one that is missing:
        "Patient_ID" for "patient"."""
        missing = {_bare(name): name for name in known if name not in self.header}
        for name in self.header:
            bare = _bare(name)
            near = get_close_matches(bare, missing, n=1, cutoff=0.85) if name not in known else []
            other = near and abs(len(bare) - len(near[0])) > 1 and (bare in near[0] or near[0] in bare)
            if near and not other:  # "inpatient" and "finding" are words of their own
                hint = f"Did you mean '{missing[near[0]]}'? Rename it, or remove it"
                raise DataError(f"column '{one_line(name)}' is not known. {hint}", self.file, 1)


def _bare(name: str) -> str:
    """A column's name without case, blanks, signs and a final "id"."""
    return "".join(filter(str.isalnum, name.casefold())).removesuffix("id")


def is_number(text: str) -> bool:
    """Whether it is a row of digits 0 to 9, as ids of these data sets are (`str.isdigit` takes a superscript too)."""
    return text.isascii() and text.isdecimal()


def is_null(cell: str) -> bool:
    """Whether a cell says nothing: blank, or a word of NULLS.

    >>> is_null(" NaN "), is_null("None."), is_null("")
    (True, False, True)
    """
    text = cell.strip()
    return not text or (len(text) < 5 and text.lower() in NULLS)


def read_table(
    path: Path, required: Sequence[str] = (), ragged: bool = False, blank_rows: bool = False, name: str = ""
) -> Table:
    """Read a table. `blank_rows`: keep rows whose cells are all blank. `name`: what messages call the file; default:
    its name without folders.

    Raises DataError, with the row where there is one: no such file, unknown or damaged format, a column of `required`
    missing, a column twice, or (unless `ragged`) a row with more or fewer cells than the header.
    """
    file = one_line(name or path.name)
    if not path.is_file():
        raise DataError("is a folder, not a table" if path.is_dir() else "no such file", file)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    rows = FORMATS[choose("file format", suffix, FORMATS, DataError)](path, file)
    if not rows:
        raise DataError("the file is empty", file)
    header = tuple(str(cell).strip() for cell in rows[0][1])
    doubled = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if doubled:
        raise DataError(f"column '{one_line(doubled[0])}' exists twice", file, rows[0][0] or None)
    table = _table(file, header, rows[1:], ragged, blank_rows, required)
    for column, count in table.nulls.items():
        log.info("%s: %d cells of column '%s' hold a word for nothing, such as nan", file, count, one_line(column))
    return table


def _table(
    file: str, header: tuple[str, ...], given: Rows, ragged: bool, blank_rows: bool, required: Sequence[str]
) -> Table:
    Table(file, header, (), ()).require(required)
    nulls = dict.fromkeys(header, 0)
    rows: list[tuple[str, ...]] = []
    numbers: list[int] = []
    for number, cells in given:
        _refuse_nested(dict(zip(header, cells, strict=False)), required, file, number)
        row = _fitted([_text(cell, file, number) for cell in cells], header)
        if not blank_rows and not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header) and not ragged:
            found = f"{len(row)} cells, but the header has {len(header)} (a comma in a report needs quotes)"
            raise DataError(found, file, number)
        for at, cell in enumerate(row):
            if cell and is_null(cell):
                row[at] = ""
                if cell.strip() and at < len(header):
                    nulls[header[at]] += 1
        rows.append(tuple(row))
        numbers.append(number)
    counted = {name: count for name, count in nulls.items() if count}
    return Table(file, header, tuple(rows), tuple(numbers), counted)


def _refuse_nested(cells: Mapping[str, Any], required: Sequence[str], file: str, number: int) -> None:
    for name in required:
        if isinstance(cells.get(name), list | dict):
            raise DataError(f"'{name}' is a {type(cells[name]).__name__}, not text", file, number)


def _fitted(row: list[str], header: tuple[str, ...]) -> list[str]:
    """The row without blank cells beyond the header, and with cells for columns that have no name (trailing ";;")."""
    while len(row) > len(header) and not row[-1].strip():
        row.pop()
    while len(row) < len(header) and not any(header[len(row) :]):
        row.append("")
    return row


def _text(value: Any, file: str, number: int) -> str:
    """A cell as text: null and not-a-number as "", lists and objects as JSON."""
    if value is None or value != value:
        return ""
    text = json.dumps(value, default=str) if isinstance(value, list | dict) else str(value).replace(INNER_BREAK, "\n")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("the row holds half a character (a lone surrogate)", file, number) from None
    return text
