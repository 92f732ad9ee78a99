"""Tables of reports that users bring, as text columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedmrg_core.data.table import read_table as table_of
from fedmrg_core.errors import DataError, first_line

if TYPE_CHECKING:
    import pandas as pd


def read_table(file: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A file's columns as text, "" where a cell says nothing; see `fedmrg_core.data.table`.

    Raises:
        DataError: no such file, an unknown format, a file that cannot be read, a missing column, or no row.
    """
    import pandas as pd

    if file.is_dir():
        raise DataError("a folder: give a table of reports (for a run: fedmrg score --run RUN_ID)", str(file))
    table = table_of(file, needed, blank_rows=True, name=str(file))
    if not table.rows:
        raise DataError("has no rows", str(file))
    return pd.DataFrame({name: table.column(name) for name in table.header if name})


def read_stored(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A Parquet table that this project wrote. Raises DataError in one line if it is damaged or lacks a column."""
    import pandas as pd

    try:
        table = pd.read_parquet(file)
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise DataError(f"cannot be read as parquet: {first_line(error)}", str(file)) from None
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise DataError(f"is damaged: it lacks the column(s) {', '.join(absent)}", str(file))
    return table


def column(table: pd.DataFrame, name: str, numbered: bool = False, default: str = "all") -> list[str]:
    """A column of names that may be absent: then row numbers, or `default` in every row."""
    if name in table.columns:
        return list(table[name])
    return [str(row) for row in range(len(table))] if numbered else [default] * len(table)
