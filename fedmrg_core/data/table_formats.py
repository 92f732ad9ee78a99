"""The rows of CSV, JSON lines and Parquet files, numbered and within bounds, for `table.py`.

CSV: a byte-order mark, UTF-8, UTF-16 or Windows-1252; commas, semicolons or tabs; line breaks in quotes. A carriage
return that ends no row is a line break inside a report. CSV and JSON lines may be compressed with gzip.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from fedmrg_core.data.bounded import GIB, BoundedReader
from fedmrg_core.errors import DataError, first_line

MAX_BYTES = 2 * GIB
"""Of a table, unpacked. The largest table of the known data sets, CheXpert Plus's, has well under half of that."""

MAX_ROWS, MAX_CELLS = 2_000_000, 30_000_000
"""Of a table, blank rows included: about 3 GiB of memory and a minute at most. MIMIC-CXR's metadata has 377,000 rows
and 5 million cells."""

LONGEST_FIELD = 10_000_000
"""Characters in one cell before the file counts as damaged (an unclosed quote)."""

HEAD = 1 << 20
"""Bytes from which the encoding and the kind of line ends are recognised."""

GZIP_MAGIC, UTF16_MARKS = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")

INNER_BREAK = "\x0b"
"""Stands for a carriage return inside a row while the CSV reader runs."""

Rows = list[tuple[int, tuple[Any, ...]]]
"""(row number, cells); the header first. Cells of CSV are text, others what the format gives."""


def csv_rows(path: Path, file: str) -> Rows:
    """Rows, without empty lines, numbered as a spreadsheet shows them (header: row 1). Raises DataError."""
    head = _head(path, file)
    encodings = ("utf-16", "latin-1") if head[:2] in UTF16_MARKS else ("utf-8-sig", "cp1252", "latin-1")
    for encoding in encodings:
        text = head.decode(encoding, "ignore")
        line_end = "\r" if "\r" in text and "\n" not in text else "\n"
        try:
            with io.TextIOWrapper(_open(path, file), encoding, newline=line_end) as stream:
                return _csv(_lines(stream, line_end, file), file)
        except UnicodeError:
            continue
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"cannot be read ({first_line(error)})", file) from None
    raise DataError("cannot be read as text", file)


def json_rows(path: Path, file: str) -> Rows:
    """One JSON object per line, numbered by line; the header (row 0) is every key met. Raises DataError."""
    rows: list[tuple[int, dict[str, Any]]] = []
    header: dict[str, None] = {}
    cells = 0
    try:
        with io.TextIOWrapper(_open(path, file), "utf-8-sig", newline="\n") as stream:
            for number, line in enumerate(_lines(stream, "\n", file), 1):
                if number > MAX_ROWS:
                    raise DataError(f"has more than {MAX_ROWS:,} rows", file)
                if line.strip():
                    rows.append((number, _json_object(line, number, file)))
                    header |= dict.fromkeys(rows[-1][1])
                    cells = _bounded(cells + len(rows[-1][1]), file)
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DataError(f"cannot be read ({first_line(error)})", file) from None
    _bounded(len(rows) * len(header), file)
    return [(0, tuple(header)), *((number, tuple(map(row.get, header))) for number, row in rows)]


def parquet_rows(path: Path, file: str) -> Rows:
    """Rows numbered from 1; the header is row 0. Raises DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as parquet:
            names = tuple(parquet.schema_arrow.names)
            _bounded(parquet.metadata.num_rows * len(names), file)
            if parquet.metadata.num_rows > MAX_ROWS:
                raise DataError(f"has more than {MAX_ROWS:,} rows", file)
            rows: Rows = [(0, names)]
            size = 0
            for batch in parquet.iter_batches(1024):
                size += batch.nbytes
                if size > MAX_BYTES:
                    raise DataError(f"holds more than {MAX_BYTES // GIB} GiB when unpacked", file)
                cells = zip(*(column.to_pylist() for column in batch.columns), strict=True)
                rows += ((len(rows) + at, row) for at, row in enumerate(list(cells)))
            return rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"cannot be read as Parquet ({first_line(error)[:200]})", file) from None


def _open(path: Path, file: str) -> IO[bytes]:
    """The file's bytes, unpacked where it is gzip, within MAX_BYTES."""
    stream: IO[bytes] = path.open("rb")
    packed = stream.read(2) == GZIP_MAGIC
    stream.seek(0)
    raw = BoundedReader(gzip.GzipFile(fileobj=stream) if packed else stream, MAX_BYTES, file)  # type: ignore[arg-type]
    return io.BufferedReader(raw, HEAD)


def _head(path: Path, file: str) -> bytes:
    try:
        with _open(path, file) as stream:
            return stream.read(HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({first_line(error)})", file) from None


class _InnerBreaks:
    """Marks the carriage returns inside lines, and knows whether there were any."""

    found = False

    def mark(self, line: str) -> str:
        """The line with INNER_BREAK for each."""
        if "\r" not in line:
            return line
        self.found = True
        return line.replace("\r", INNER_BREAK)


def _broken(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.replace(INNER_BREAK, "\n") for cell in row)


def _lines(stream: IO[str], line_end: str, file: str) -> Iterator[str]:
    """Lines that end with a newline; of a line that ends with "\\r\\n" the "\\r" is removed."""
    while line := stream.readline(LONGEST_FIELD + 1):
        if len(line) > LONGEST_FIELD:
            raise DataError(f"holds a line of more than {LONGEST_FIELD:,} characters: the file is damaged", file)
        yield line.removesuffix(line_end).removesuffix("\r") + "\n"


def _csv(given: Iterator[str], file: str) -> Rows:
    inner = _InnerBreaks()
    lines = map(inner.mark, given)
    start = list(_up_to_text(lines))
    first = start[-1] if start else ""
    reader = csv.reader(chain(start, lines), delimiter=max(",;\t", key=first.count), strict=True)
    rows: list[tuple[int, tuple[str, ...]]] = []
    cells = number = 0
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        for number, record in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise DataError(f"has more than {MAX_ROWS:,} rows", file)
            if record and (rows or any(cell.strip() for cell in record)):  # the header is no blank row
                rows.append((number, tuple(record)))
                cells = _bounded(cells + len(record), file)
        return [(number, _broken(row)) for number, row in rows] if inner.found else rows
    except csv.Error as error:
        raise DataError(f"not a well-formed CSV file ({error})", file, number + 1) from None
    finally:
        csv.field_size_limit(limit)


def _up_to_text(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the first that is not blank: the header, which tells the delimiter."""
    for line in islice(lines, 1000):
        yield line
        if line.strip():
            return


def _json_object(line: str, number: int, file: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"is not JSON ({first_line(error)})", file, number) from None
    if not isinstance(row, dict):
        raise DataError("is not a JSON object", file, number)
    if "\\u" in line:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise DataError("the row holds half a character (a lone surrogate)", file, number) from None
    return row


def _bounded(cells: int, file: str) -> int:
    if cells > MAX_CELLS:
        raise DataError(f"has more than {MAX_CELLS:,} cells", file)
    return cells
