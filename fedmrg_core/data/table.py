"""Tables that people bring, read by one set of rules: text cells, one word list for "nothing", one numbering of rows.

    table = read_table(Path("manifest.csv"), required=("image", "report"))
    reports = table.column("report")

Formats: CSV (.csv, .tsv; also .gz), JSON lines (.jsonl, .ndjson; also .gz) and Parquet (.parquet); see `table_formats`.
A cell that holds only a word of NULLS means nothing: it becomes "" and is counted in `Table.nulls`.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fedmrg_core.data.table_formats import Rows, csv_rows, json_rows, parquet_rows
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

TextRow = tuple[int, tuple[str, ...]]
TextRows = Iterable[TextRow]


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
    Table(file, header, (), ()).require(required)
    kept = _rows(file, header, _typed(rows[1:], header, required, file), ragged, blank_rows)
    cells, nulls = _without_nulls([row for _, row in kept], header)
    for column, count in nulls.items():
        log.info("%s: %d cells of column '%s' hold a word for nothing, such as nan", file, count, one_line(column))
    return Table(file, header, cells, tuple(number for number, _ in kept), nulls)


def _rows(file: str, header: tuple[str, ...], given: TextRows, ragged: bool, blank_rows: bool) -> list[TextRow]:
    """The rows that are used, each as long as the header (unless `ragged`)."""
    kept: list[TextRow] = []
    for number, cells in given:
        row = cells if len(cells) == len(header) else _fitted(list(cells), header)
        if not blank_rows and not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header) and not ragged:
            found = f"{len(row)} cells, but the header has {len(header)} (a comma in a report needs quotes)"
            raise DataError(found, file, number)
        kept.append((number, row))
    return kept


def _fitted(row: list[str], header: tuple[str, ...]) -> tuple[str, ...]:
    """The row without blank cells beyond the header, and with cells for columns that have no name (trailing ";;")."""
    while len(row) > len(header) and not row[-1].strip():
        row.pop()
    while len(row) < len(header) and not any(header[len(row) :]):
        row.append("")
    return tuple(row)


def _without_nulls(
    rows: list[tuple[str, ...]], header: tuple[str, ...]
) -> tuple[tuple[tuple[str, ...], ...], dict[str, int]]:
    """The rows with "" for every cell that says nothing, and how many of those held a word, by column. Distinct values
    are looked at once: large tables repeat them."""
    distinct = {cell for row in rows for cell in row if len(cell) < 12}
    empty = {cell for cell in distinct if cell and is_null(cell)}
    if not empty:
        return tuple(rows), {}
    counts: Counter[str] = Counter()
    cleaned = []
    for row in rows:
        if not empty.isdisjoint(row):
            counts.update(name for name, cell in zip(header, row, strict=False) if cell in empty and cell.strip())
            row = tuple("" if cell in empty else cell for cell in row)
        cleaned.append(row)
    return tuple(cleaned), dict(counts)


def _typed(rows: Rows, header: tuple[str, ...], required: Sequence[str], file: str) -> Iterator[TextRow]:
    """Rows as text: null and not-a-number as "", lists and objects as JSON, but for `required` columns, which want
    text."""
    for number, cells in rows:
        if all(type(cell) is str for cell in cells):
            yield number, cells
            continue
        for name, cell in zip(header, cells, strict=False):
            if name in required and isinstance(cell, list | dict):
                raise DataError(f"'{name}' is a {type(cell).__name__}, not text", file, number)
        yield number, tuple(map(_text, cells))


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
