"""Files that `score`, `label` and `compare` write where a user names them (regular files, links, pipes, devices)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fedmrg_core.errors import DataError
from fedmrg_core.files import check_output, is_stream, output, replacing
from fedmrg_core.runfolder import plain

if TYPE_CHECKING:
    import pandas as pd


def check_outputs(paths: Iterable[Path | None]) -> None:
    """Raises DataError, before any work, where one of these files cannot be written."""
    for path in paths:
        if path is not None:
            check_output(path)


def write_json(content: object, path: Path) -> None:
    """Write `content` as JSON; NaN becomes null."""
    with output(path) as stream:
        stream.write(json.dumps(plain(content), indent=1) + "\n")


def save_per_study(table: pd.DataFrame, path: Path) -> None:
    """Write a per-study table (`fedmrg_core.metrics.per_study`) as Parquet; a file appears whole or not at all."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_outputs(args: argparse.Namespace, content: object, per_study: pd.DataFrame) -> None:
    """The files that --json and --per-study name. Callers print afterwards: a reader of standard output that has gone
    must not cost the files."""
    if args.json:
        write_json(content, args.json)
    if args.per_study:
        try:
            save_per_study(per_study, args.per_study)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", str(args.per_study)) from error


def messages(paths: Iterable[Path | None]) -> TextIO:
    """Where a command prints: standard output, or standard error if one of its files is standard output itself."""
    try:
        shown = os.fstat(sys.stdout.fileno())
        taken = any(path is not None and is_stream(path) and os.path.samestat(path.stat(), shown) for path in paths)
    except (AttributeError, OSError, ValueError):  # no standard output, or one without a file
        return sys.stdout
    return sys.stderr if taken else sys.stdout


def csv_safe(cells: Sequence[str]) -> list[str]:
    """Cells that a spreadsheet does not run as formulas: one that starts with = + - @, a tab or a carriage return gets
    an apostrophe in front, as OWASP advises; numbers stay as they are.

    >>> csv_safe(["=HYPERLINK(1)", "-1", "study 1"])
    ["'=HYPERLINK(1)", '-1', 'study 1']
    """
    return [f"'{cell}" if cell[:1] in tuple("=+-@\t\r") and not _is_number(cell) else cell for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
