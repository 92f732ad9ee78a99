"""`fedmrg score` and `fedmrg label`: the harness's metrics and labeler on anybody's reports.

    fedmrg score outputs.csv --json scores.json      # columns reference, hypothesis; optional id, hospital, patient
    fedmrg label reports.csv --out labels.csv        # column report; optional id
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmrg_core.errors import DataError, choose
from fedmrg_core.types import CONDITIONS, LabelState

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.metrics.stats import Score


_FORMATS = (".csv", ".jsonl", ".ndjson", ".parquet")
_PART = "test/global"  # the scorecard wants a part and a view; a file has one of each
_SHOWN = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rougeL", "cider", "rouge1", "rouge2", "rougeLsum")
_CSV_VALUE = {LabelState.BLANK: "", LabelState.POSITIVE: "1", LabelState.NEGATIVE: "0", LabelState.UNCERTAIN: "-1"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `fedmrg score`."""
    parser.add_argument("file", type=Path, help="table with the columns reference and hypothesis")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every score to this file as well")
    parser.add_argument("--train", type=Path, metavar="FILE", help="training reports (column report), for `verbatim`")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of the patients (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    _labeler_options(parser)


def label_configure(parser: argparse.ArgumentParser) -> None:
    """Options of `fedmrg label`."""
    parser.add_argument("file", type=Path, help="table with the column report")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.csv", help="where the labels go")
    _labeler_options(parser)


def _labeler_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--labeler", default="rules", help="rules, or chexbert with --weights (rules)")
    parser.add_argument("--weights", default="", metavar="PATH", help="CheXbert's checkpoint; vocab.txt beside it")


def main(args: argparse.Namespace) -> int:
    """Score a file; prints the table and, with --json, writes all of it."""
    from fedmrg_core.metrics.scorecard import scorecard

    table = read_table(args.file, ("reference", "hypothesis"))
    train = list(read_table(args.train, ("report",))["report"]) if args.train else None
    if args.resamples < 0:
        raise DataError(f"--resamples {args.resamples}: must be 0 (no intervals) or more")
    frame = generations(table)
    scores, missing = scorecard(frame, train, args.labeler, args.resamples, args.seed, weights=args.weights)
    content = contents(scores, missing, len(frame))
    print(score_text(content))
    if args.json:
        write_text(args.json, json.dumps(content, indent=1, allow_nan=False) + "\n")
        print(f"\nall scores: {args.json}")
    return 0


def label_main(args: argparse.Namespace) -> int:
    """Label a file's reports into a CSV: id and the 14 conditions, 1 / 0 / -1 / blank."""
    from fedmrg_core.metrics.scorecard import labeler_of

    table = read_table(args.file, ("report",))
    label_many, version = labeler_of(args.labeler, args.weights)
    reports = list(table["report"])
    with _replacing(args.out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", *CONDITIONS])
        for name, states in zip(_column(table, "id", numbered=True), label_many(reports), strict=True):
            writer.writerow([name, *csv_values(states)])
    print(f"{len(reports)} reports labelled ({version}): {args.out}")
    return 0


def csv_values(states: Sequence[int]) -> list[str]:
    """The 14 cells of a row; as in CheXbert's files, No Finding is 0 where something else is stated instead."""
    cells = [_CSV_VALUE[LabelState(state)] for state in states]
    if not cells[-1] and any(cells):
        cells[-1] = "0"
    return cells


def read_table(file: Path, needed: Sequence[str]) -> pd.DataFrame:
    """A CSV, JSON lines or Parquet file as text columns, null as "".

    Raises:
        DataError: no such file, an unknown format, a file that cannot be read, a missing column, or no row.
    """
    import pandas as pd

    if not file.is_file():
        raise DataError("no such file", str(file))
    suffix = choose("file format", file.suffix.lower(), _FORMATS, DataError)
    try:
        if suffix == ".csv":
            table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        elif suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            lines = file.read_text(encoding="utf-8-sig").split("\n")  # not splitlines: U+2028 is text
            table = pd.DataFrame([json.loads(line) for line in lines if line.strip()])
    except (ValueError, OSError) as error:
        raise DataError(f"cannot be read as {suffix[1:]}: {str(error).splitlines()[0]}", str(file)) from error
    for name in needed:
        if name not in table.columns:
            has = ", ".join(map(str, table.columns)) or "none"
            raise DataError(f"has no column '{name}'; it has: {has}", str(file))
    if table.empty:
        raise DataError("holds no row", str(file))
    for name in table.columns:
        table[name] = [_text(value) for value in table[name]]
    return table


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and value != value) else str(value)


def _column(table: pd.DataFrame, name: str, numbered: bool = False, default: str = "all") -> list[str]:
    if name in table.columns:
        return list(table[name])
    return [str(row) for row in range(len(table))] if numbered else [default] * len(table)


def generations(table: pd.DataFrame) -> pd.DataFrame:
    """The scorecard's table of a file: each study is its own patient where no column says otherwise."""
    import pandas as pd

    names = _column(table, "id", numbered=True)
    columns = {
        "study_id": names,
        "patient_id": _column(table, "patient", numbered=True),
        "hospital": _column(table, "hospital"),
        "part": "test",
        "view": "global",
        "reference": list(table["reference"]),
        "hypothesis": list(table["hypothesis"]),
    }
    return pd.DataFrame(columns)


def contents(scores: Mapping[str, Score], missing: Mapping[str, str], n: int) -> dict[str, Any]:
    """The JSON of `fedmrg score`: nlg by text convention, ce, diversity, the same by hospital, and over hospitals."""
    pooled: dict[str, Any] = {"n": n, "nlg": {"r2gen": {}, "ptb": {}, "as_written": {}}, "ce": {}, "diversity": {}}
    hospitals: dict[str, Any] = {}
    over: dict[str, Any] = {}
    for key, score in scores.items():
        name = key.removeprefix(f"{_PART}/")
        hospital, _, metric = name.rpartition("/")
        if hospital:
            own = hospitals.setdefault(hospital, {"n": score.n, "nlg": {}, "ce": {}, "diversity": {}})
            _place(own, metric, score)
        elif name.startswith(("mean_", "worst_", "spread_")):
            over[name] = _score(score)
        else:
            _place(pooled, name, score)
    if len(hospitals) > 1:
        pooled |= {"hospitals": hospitals, "over_hospitals": over}
    return pooled | {"missing": dict(missing)}


def _place(target: dict[str, Any], metric: str, score: Score) -> None:
    if metric.startswith("ce_"):
        target["ce"][metric] = _score(score)
    elif metric in ("distinct", "verbatim"):
        target["diversity"][metric] = _score(score)
    else:
        convention = "ptb" if metric.endswith("_ptb") else "as_written" if metric in _SHOWN[-3:] else "r2gen"
        target["nlg"].setdefault(convention, {})[metric.removesuffix("_ptb")] = _score(score)


def _score(score: Score) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(score)


def score_text(content: Mapping[str, Any]) -> str:
    """The printed table: values with their 95 % intervals, the text conventions side by side."""
    lines = [f"{content['n']} reports; value [95 % interval]", "", f"{'':<26}{'r2gen':>26}{'ptb':>26}"]
    for name in _SHOWN:
        nlg = content["nlg"]
        first = nlg["r2gen"].get(name) or nlg["as_written"].get(name)
        lines.append(f"{name:<26}{_cell(first):>26}{_cell(nlg['ptb'].get(name)):>26}".rstrip())
    lines += ["", f"{'':<26}{'positive':>26}{'or uncertain':>26}"]
    for name in [key for key in content["ce"] if not key.endswith("_unc")]:
        cells = _cell(content["ce"][name]), _cell(content["ce"].get(f"{name}_unc"))
        lines.append(f"{name:<26}{cells[0]:>26}{cells[1]:>26}".rstrip())
    lines += ["", *(f"{name:<26}{_cell(score):>26}" for name, score in content["diversity"].items())]
    lines += _hospital_lines(content)
    return "\n".join([*lines, *(f"not scored: {name} ({why})" for name, why in content["missing"].items())])


def _hospital_lines(content: Mapping[str, Any]) -> Iterable[str]:
    if "hospitals" not in content:
        return
    yield f"\n{'hospital':<26}{'n':>6}{'BLEU-4':>26}{'CE F1 micro':>26}"
    for name, own in content["hospitals"].items():
        bleu, f1 = own["nlg"]["r2gen"].get("bleu4"), own["ce"].get("ce_f1_micro14")
        yield f"{name:<26}{own['n']:>6}{_cell(bleu):>26}{_cell(f1):>26}"
    for prefix in ("mean", "worst", "spread"):
        cells = [_cell(content["over_hospitals"].get(f"{prefix}_{metric}")) for metric in ("bleu4", "ce_f1_micro14")]
        yield f"{prefix:<26}{'':>6}{cells[0]:>26}{cells[1]:>26}"


def _cell(score: Mapping[str, Any] | None) -> str:
    return f"{score['value']:.4f} [{score['low']:.4f}, {score['high']:.4f}]" if score else ""


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with _replacing(path) as stream:
        stream.write(text)


class _replacing:
    """A text file that takes its name when its block ends well."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        if not self.path.parent.is_dir():
            raise DataError("its folder does not exist", str(self.path))
        handle, self.name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        self.stream = os.fdopen(handle, "w", encoding="utf-8", newline="")
        return self.stream

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.stream.close()
        if kind is None:
            os.replace(self.name, self.path)
        else:
            os.unlink(self.name)
