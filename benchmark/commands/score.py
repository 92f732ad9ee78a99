"""`fedmrg score`: the harness's metrics on anybody's reports.

    fedmrg score outputs.csv --json scores.json      # columns reference, hypothesis; optional id, hospital, patient
    fedmrg score --run RUN_ID --update               # a run's saved generations, scored by the code as it is now
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.run.rescore import main as rescore
from benchmark.scoring.generations import radeval_metrics
from benchmark.scoring.labelers import labeler_options, language_notes
from benchmark.scoring.outputs import check_outputs, messages, write_outputs
from benchmark.scoring.report_table import column, read_table
from benchmark.scoring.summary import contents, score_text
from fedmrg_core.errors import ConfigError, DataError, one_line
from fedmrg_core.paths import ROOT

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.metrics.scorecard import Scorecard


MOST_RESAMPLES = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg score`."""
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
    labeler_options(parser)


def main(args: argparse.Namespace) -> int:
    """Score a file or a run; writes what --json and --per-study ask for and prints the table."""
    if bool(args.run) == (args.file is not None):
        raise ConfigError("give either a FILE or --run RUN_ID")
    check_outputs([args.json, args.per_study])
    if args.resamples is not None and not 0 <= args.resamples <= MOST_RESAMPLES:
        allowed = f"allowed: 0 (no intervals) to {MOST_RESAMPLES}."
        raise ConfigError(f"--resamples {args.resamples} is out of range; {allowed}")
    if args.run:
        return rescore(args)
    if args.update:
        raise ConfigError("--update belongs to --run RUN_ID")
    _score_file(args)
    return 0


def _score_file(args: argparse.Namespace) -> None:
    table = read_table(args.file, ("reference", "hypothesis"))
    if {"study_id", "part", "view"} <= set(table.columns):
        message = "has a run's parts and views, which are scored separately: `fedmrg score --run RUN_ID`"
        raise DataError(message, str(args.file))
    train = list(read_table(args.train, ("report",))["report"]) if args.train else None
    card = score_table(table, train, args)
    texts = {name: list(table[name]) for name in ("reference", "hypothesis")}
    content = contents(card.scores, card.missing, len(table), [*notes(table), *language_notes(texts)])
    write_outputs(args, content, card.per_study)
    print(score_text(content), file=messages([args.json, args.per_study]))


def score_table(table: pd.DataFrame, train: Sequence[str] | None, args: argparse.Namespace) -> Scorecard:
    """The scorecard of a table of reports, with a command line's options."""
    from fedmrg_core.metrics.scorecard import scorecard

    settings = {"resamples": args.resamples, "seed": args.seed, "labeler": args.labeler, "weights": args.weights}
    given = {name: value for name, value in settings.items() if value not in (None, "")}
    return scorecard(generations(table), train, extra=radeval_metrics(args.radeval), **given)


def notes(table: pd.DataFrame) -> list[str]:
    """What a reader of the scores should know about the file."""
    found = []
    for name in ("reference", "hypothesis"):
        empty = sum(not text.strip() for text in table[name])
        if empty:
            found.append(f"column {name} is empty in {empty} of {len(table)} rows; they are scored as they are")
    repeated = [name for name, count in Counter(column(table, "id", numbered=True)).items() if count > 1]
    if repeated:
        example = one_line(repeated[0], 60)
        found.append(f"{len(repeated)} id(s) are in several rows, such as '{example}'; every row is scored")
    return found


def generations(table: pd.DataFrame) -> pd.DataFrame:
    """The scorecard's table of a file. Without a patient, a study is its own patient; without a hospital, it belongs to
    the hospital "unnamed"."""
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
