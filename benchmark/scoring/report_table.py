"""Tables of reports that users bring, as text columns: CSV, JSON lines, Parquet; and files that appear whole or not."""

from __future__ import annotations

import csv
import difflib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmrg_core.errors import DataError, choose

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".jsonl", ".ndjson", ".parquet")
NULLS = ("nan", "NaN")
"""CSV cells that programs write for "nothing here"; no report says that."""


def read_table(file: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A file's columns as text, null as "".

    Raises:
        DataError: no such file, an unknown format, a file that cannot be read, a missing column, or no row.
    """
    import pandas as pd

    if file.is_dir():
        raise DataError("a folder: give a table of reports (for a run: fedmrg score --run RUN_ID)", str(file))
    if not file.is_file():
        raise DataError("no such file", str(file))
    suffix = choose("file format", file.suffix.lower(), FORMATS, DataError)
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            text = file.read_bytes().decode("utf-8-sig")
            table = _csv(text) if suffix == ".csv" else _json_lines(text)
    except DataError as error:
        raise DataError(str(error), str(file), error.row) from error
    except (ValueError, OSError, csv.Error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"cannot be read as {suffix[1:]}: {reason}", str(file)) from error
    _require(table, needed, file)
    for name in table.columns:
        table[name] = [_text(value, file, row, str(name)) for row, value in enumerate(table[name], start=1)]
    return table


def _csv(text: str) -> pd.DataFrame:
    """Python's own reader, strict: a row that is longer or shorter than the header is refused, not shifted.

    A carriage return that ends no line is white space within a report; many readers end the row there.
    """
    import pandas as pd

    text = text.replace("\r\n", "\n")
    text = text.replace("\r", " ") if "\n" in text else text.replace("\r", "\n")
    csv.field_size_limit(sys.maxsize)  # a report is as long as it is
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    header = [name.strip() for name in next(reader, [])]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"has the column '{twice[0]}' twice")
    rows = []
    for row in reader:
        if row and len(row) != len(header):
            found = f"has {len(row)} cells where the header has {len(header)} (a comma in a report wants quotes)"
            raise DataError(found, row=len(rows) + 1)
        if row:
            rows.append(["" if cell in NULLS else cell for cell in row])
    return pd.DataFrame(rows, columns=header)


def _json_lines(text: str) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for line in text.split("\n"):  # not splitlines: U+2028 is text
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise DataError("is no JSON object", row=len(rows) + 1)
            rows.append(row)
    return pd.DataFrame(rows)


def _require(table: pd.DataFrame, needed: Sequence[str], file: Path) -> None:
    names = [str(name) for name in table.columns]
    for name in needed:
        if name not in names:
            lower = {column.lower(): column for column in names}
            near = difflib.get_close_matches(name, lower, n=1, cutoff=0.4)
            hint = f" Did you mean '{lower[near[0]]}'? Rename it." if near else ""
            raise DataError(f"has no column '{name}'; it has: {', '.join(names) or 'none'}.{hint}", str(file))
    if table.empty:
        raise DataError("holds no row", str(file))


def _text(value: Any, file: Path, row: int, name: str) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, list | dict) and name in ("reference", "hypothesis", "report"):
        raise DataError(f"'{name}' is a {type(value).__name__}, not text", str(file), row)
    return str(value)


def column(table: pd.DataFrame, name: str, numbered: bool = False, default: str = "all") -> list[str]:
    """A column of names that may be absent: then row numbers, or `default` in every row."""
    if name in table.columns:
        return list(table[name])
    return [str(row) for row in range(len(table))] if numbered else [default] * len(table)


def check_place(path: Path) -> None:
    """Raises DataError, before any work, where a file cannot be put at `path`."""
    if path.is_dir():
        raise DataError("is a folder, not a file to write", str(path))
    if not path.parent.is_dir():
        raise DataError("its folder does not exist", str(path))


@contextmanager
def replacing(path: Path) -> Iterator[Any]:
    """A text file that takes its name when its block ends well."""
    check_place(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
