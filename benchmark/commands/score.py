"""`fedmrg score` and `fedmrg label`: the harness's metrics and labeler on anybody's reports.

    fedmrg score outputs.csv --json scores.json      # columns reference, hypothesis; optional id, hospital, patient
    fedmrg score --run RUN_ID --update               # a run's saved generations, by the code as it is now
    fedmrg label reports.csv --out labels.csv        # column report; optional id
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.scoring.generations import extra_metrics, write_outputs
from benchmark.scoring.report_table import check_place, column, read_table, replacing
from benchmark.scoring.rescore import main as rescore
from benchmark.scoring.summary import contents, score_text
from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.paths import ROOT
from fedmrg_core.types import CONDITIONS, LabelState

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.metrics.scorecard import Card

_CSV_VALUE = {LabelState.BLANK: "", LabelState.POSITIVE: "1", LabelState.NEGATIVE: "0", LabelState.UNCERTAIN: "-1"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `fedmrg score`."""
    add = parser.add_argument
    add("file", type=Path, nargs="?", help="table with the columns reference and hypothesis")
    add("--run", metavar="RUN_ID", default="", help="score a run's saved generations again, instead of a file")
    add("--update", action="store_true", help="with --run: put the scores into the run, and into its committed result")
    add("--json", type=Path, metavar="OUT", help="write every score to this file as well")
    add("--per-study", type=Path, metavar="OUT.parquet", help="write the values of each report, without its text")
    add("--train", type=Path, metavar="FILE", help="training reports (column report), for `verbatim`")
    add("--resamples", type=int, help="bootstrap resamples of the patients (default: 1000)")
    add("--seed", type=int, help="of the bootstrap (default: 0)")
    add("--radeval", metavar="NAMES", default="", help="RadEval's metrics as well: radgraph,bertscore,.. (the extra)")
    add("--root", type=Path, default=ROOT, help="project folder that holds runs/ (default: this checkout)")
    _labeler_options(parser)


def label_configure(parser: argparse.ArgumentParser) -> None:
    """Options of `fedmrg label`."""
    parser.add_argument("file", type=Path, help="table with the column report")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.csv", help="where the labels go")
    _labeler_options(parser)


def _labeler_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labeler", default="", help="rules, or chexbert with --weights (default: rules)")
    parser.add_argument("--weights", default="", metavar="PATH", help="CheXbert's checkpoint; vocab.txt beside it")


def main(args: argparse.Namespace) -> int:
    """Score a file or a run; prints the table and, with --json, writes all of it."""
    if bool(args.run) == (args.file is not None):
        raise ConfigError("give either a FILE or --run RUN_ID")
    for path in (args.json, args.per_study):
        if path:
            check_place(path)
    if args.resamples is not None and args.resamples < 0:
        raise DataError(f"--resamples {args.resamples}: must be 0 (no intervals) or more")
    if args.run:
        return rescore(args)
    if args.update:
        raise ConfigError("--update belongs to --run RUN_ID")
    _score_file(args)
    return 0


def _score_file(args: argparse.Namespace) -> None:
    table = read_table(args.file, ("reference", "hypothesis"))
    if {"study_id", "part", "view"} <= set(table.columns):
        raise DataError("holds a run's parts and views, which are scored apart: `fedmrg score --run RUN_ID`", args.file)
    train = list(read_table(args.train, ("report",))["report"]) if args.train else None
    card = score_table(table, train, args)
    content = contents(card.scores, card.missing, len(table), notes(table))
    print(score_text(content))
    write_outputs(args, content, card)


def score_table(table: pd.DataFrame, train: Sequence[str] | None, args: argparse.Namespace) -> Card:
    """The scorecard of a table of reports, with a command line's options."""
    from fedmrg_core.metrics.scorecard import full_scorecard

    settings = {"resamples": args.resamples, "seed": args.seed, "labeler": args.labeler, "weights": args.weights}
    given = {name: value for name, value in settings.items() if value not in (None, "")}
    return full_scorecard(generations(table), train, extra=extra_metrics(args.radeval), **given)


def notes(table: pd.DataFrame) -> list[str]:
    """What a reader of the scores should know about the file."""
    found = []
    for name in ("reference", "hypothesis"):
        empty = sum(not text.strip() for text in table[name])
        if empty:
            found.append(f"column {name} is empty in {empty} of {len(table)} rows; they are scored as they are")
    repeated = [name for name, count in Counter(column(table, "id", numbered=True)).items() if count > 1]
    if repeated:
        found.append(f"{len(repeated)} id(s) stand in several rows, such as '{repeated[0]}'; every row is scored")
    return found


def label_main(args: argparse.Namespace) -> int:
    """Label a file's reports into a CSV: id and the 14 conditions, 1 / 0 / -1 / blank."""
    from fedmrg_core.metrics.scorecard import labeler_of

    check_place(args.out)
    table = read_table(args.file, ("report",))
    label_many, version = labeler_of(args.labeler or "rules", args.weights)
    reports = list(table["report"])
    labels = label_many(reports)
    with replacing(args.out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", *CONDITIONS])
        for name, states in zip(column(table, "id", numbered=True), labels, strict=True):
            writer.writerow([name, *csv_values(states)])
    print(f"{len(reports)} reports labelled ({version}): {args.out}")
    return 0


def csv_values(states: Sequence[int]) -> list[str]:
    """The 14 cells of a row; as in CheXbert's files, No Finding is 0 where something else is stated instead."""
    cells = [_CSV_VALUE[LabelState(state)] for state in states]
    if not cells[-1] and any(cells):
        cells[-1] = "0"
    return cells


def generations(table: pd.DataFrame) -> pd.DataFrame:
    """The scorecard's table of a file. A study is its own patient where no column or a blank cell says nothing else;
    studies with a blank hospital are those of "unnamed"."""
    import pandas as pd

    names, patients = column(table, "id", numbered=True), column(table, "patient", default="")
    columns = {
        "study_id": names,
        "patient_id": [patient or f"of study {name}" for patient, name in zip(patients, names, strict=True)],
        "hospital": [name or "unnamed" for name in column(table, "hospital")],
        "part": "test",
        "view": "global",
        "reference": list(table["reference"]),
        "hypothesis": list(table["hypothesis"]),
    }
    return pd.DataFrame(columns)
