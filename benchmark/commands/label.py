"""`fedmrg label`: the 14 CheXpert conditions of anybody's reports.

    fedmrg label reports.csv --out labels.csv        # column report; optional id
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from benchmark.scoring.labelers import labeler_options, language_notes
from benchmark.scoring.outputs import csv_safe, messages
from benchmark.scoring.report_table import column, read_table
from fedmrg_core.errors import one_line
from fedmrg_core.files import check_output, output
from fedmrg_core.types import CONDITIONS, LabelState

_CELLS = {LabelState.BLANK: "", LabelState.POSITIVE: "1", LabelState.NEGATIVE: "0", LabelState.UNCERTAIN: "-1"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg label`."""
    parser.add_argument("file", type=Path, help="table with the column report")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.csv", help="where the labels go")
    labeler_options(parser)


def main(args: argparse.Namespace) -> int:
    """Label a file's reports into a CSV: id and the 14 conditions, 1 / 0 / -1 / blank."""
    from fedmrg_core.metrics.scorecard import labeler_of

    check_output(args.out)
    table = read_table(args.file, ("report",))
    label_many, version = labeler_of(args.labeler or "rules", args.weights)
    reports = list(table["report"])
    labels = label_many(reports)
    with output(args.out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", *CONDITIONS])
        for name, states in zip(column(table, "id", numbered=True), labels, strict=True):
            writer.writerow([*csv_safe([name]), *csv_values(states)])
    said = messages([args.out])
    print(f"{len(reports)} reports labelled ({version}): {one_line(str(args.out))}", file=said)
    for note in language_notes({"report": reports}):
        print(f"note: {note}", file=said)
    return 0


def csv_values(states: Sequence[int]) -> list[str]:
    """The 14 cells of a row; as in CheXbert's files, No Finding is 0 where a condition is stated instead."""
    cells = [_CELLS[LabelState(state)] for state in states]
    if not cells[-1] and any(cells):
        cells[-1] = "0"
    return cells
