"""`fedmrg algorithms`: every algorithm, what it sends and keeps, and its settings, from the code itself.

    fedmrg algorithms                # names, megabytes, what each does
    fedmrg algorithms --write        # renews the tables of docs/algorithms.md
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fedmrg_core.errors import DataError
from fedmrg_core.paths import ROOT

if TYPE_CHECKING:
    from benchmark.run.algorithm_list import Entry

PAGE = "docs/algorithms.md"
BEGIN, END = "<!-- made by `fedmrg algorithms --write` -->\n", "<!-- end of the list -->\n"
PRESET = "tiny"
"""The page's bytes are of this preset."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg algorithms`."""
    add = parser.add_argument
    add("--preset", default=PRESET, metavar="NAME", help="of the model whose megabytes are shown (default: tiny)")
    add("--write", action="store_true", help=f"renew the tables of {PAGE} instead")
    add("--check", action="store_true", help=f"write nothing; exit 1 if {PAGE} is out of date")
    add("--root", type=Path, default=ROOT, help="project folder (default: this checkout)")


def main(args: argparse.Namespace) -> int:
    """Show the list, write it or check it; 1 if a check finds the page out of date."""
    from benchmark.run.algorithm_list import entries, markdown
    from fedmrg_core.files import write_atomic

    if not (args.write or args.check):
        _show(entries(args.preset))
        return 0
    path = args.root / PAGE
    before = path.read_text(encoding="utf-8")
    after = renewed(before, markdown(entries(PRESET)), str(path))
    if args.write:
        write_atomic(path, after.encode())
    elif after != before:
        print(f"out of date: {PAGE} (fedmrg algorithms --write)")
        return 1
    return 0


def renewed(page: str, tables: str, file: str) -> str:
    """The page with these tables between its two marks. Raises DataError if it has no such marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError("has no marks between which the list belongs", file)
    return f"{before}{begin}\n{tables}\n{end}{after}"


def _show(found: list[Entry]) -> None:
    print("MB up and down: per client and round")
    for entry in found:
        sizes = f"{entry.up / 1e6:7.2f}{entry.down / 1e6:7.2f}" if entry.weighting else f"{'-':>7}{'-':>7}"
        print(f"{entry.name:<22}{sizes}  {entry.text}")
