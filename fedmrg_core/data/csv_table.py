"""CSV files as people have them: a byte-order mark, other encodings, semicolons or tabs, quoted newlines, gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from fedmrg_core.errors import DataError, one_line

LONGEST_FIELD = 10_000_000
"""Characters in one field before the file is taken for damaged (an unclosed quote)."""


@dataclass(frozen=True)
class Table:
    """Rows as strings. `numbers`: each row's number as a spreadsheet shows it; the header is row 1."""

    file: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]

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
                raise DataError(f"{what} stands in row {first[key]} too", self.file, row)

    def require(self, columns: Sequence[str]) -> None:
        """Raises DataError naming the first column that is missing, and the nearest one that is there."""
        for name in columns:
            if name in self.header:
                continue
            near = get_close_matches(name, self.header, n=1, cutoff=0.5)
            hint = f" Is it '{one_line(near[0])}'? Rename it." if near else ""
            raise DataError(f"no column '{name}'.{hint} Columns: {one_line(', '.join(self.header))}", self.file, 1)

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


def read_table(path: Path, required: Sequence[str] = (), ragged: bool = False) -> Table:
    """Read a CSV file (or .csv.gz). Raises DataError with file and, where there is one, row; also for a row that has
    more or fewer cells than the header, unless `ragged`."""
    records = _records(_text(path), path.name)
    kept = [(number, tuple(row)) for number, row in enumerate(records, 1) if any(cell.strip() for cell in row)]
    if not kept:
        raise DataError("the file is empty", path.name)
    header = tuple(cell.strip() for cell in kept[0][1])
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled:
        raise DataError(f"column '{one_line(doubled[0])}' stands there twice", path.name, 1)
    table = Table(path.name, header, tuple(row for _, row in kept[1:]), tuple(number for number, _ in kept[1:]))
    table.require(required)
    for number, row in zip(table.numbers, table.rows, strict=True):
        if len(row) != len(header) and not ragged:
            raise DataError(f"{len(row)} cells, but the header has {len(header)}", path.name, number)
    return table


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({error})", path.name) from None
    for encoding in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _records(text: str, file: str) -> list[list[str]]:
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    limit = csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[list[str]] = []
    try:
        for record in reader:  # one by one, so that the error can say which
            records.append(record)
        return records
    except csv.Error as error:
        raise DataError(f"not a well-formed CSV file ({error})", file, len(records) + 1) from None
    finally:
        csv.field_size_limit(limit)
