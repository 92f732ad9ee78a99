"""`fedmrg compare A B [C ..]`: do systems differ? They are compared on the same studies, resampled by patient.

    fedmrg compare RUN_ID RUN_ID --metric ce_f1_micro14 bleu4
    fedmrg compare ours.csv theirs.csv --json out.json       # columns reference, hypothesis, id; or --per-study's file

Every pair gets the difference (first minus second), its 95 % bootstrap interval, a permutation p, and p after Holm's
correction over all printed comparisons.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.scoring.outputs import check_outputs, messages, write_json
from benchmark.scoring.report_table import read_stored, read_table
from benchmark.scoring.summary import PART
from fedmrg_core.errors import ConfigError, DataError, choose, one_line
from fedmrg_core.metrics.catalogue import shown
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import PER_STUDY, RunFolder, run_folder

if TYPE_CHECKING:
    import pandas as pd

    from fedmrg_core.metrics.stats import SumMeasure

DRAWS, MOST_DRAWS = 10_000, 1_000_000
"""Of the bootstrap and the permutations."""
NEEDED = ("study_id", "patient_id", "part", "view", "bleu_counts", "reference_labels")
"""Columns of a per-study table that every comparison reads."""


@dataclass(frozen=True)
class System:
    """One system's per-study table of one part and view, in the order of its studies."""

    name: str
    table: pd.DataFrame
    measures: dict[str, SumMeasure]


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg compare`."""
    add = parser.add_argument
    add("system", nargs="+", metavar="RUN_OR_FILE", help="run id, scored file's --per-study, or table of reports")
    add("--metric", nargs="+", action="extend", default=[], help=f"default: {' '.join(_default_metrics())}")
    add("--at", metavar="PART/VIEW", default="", help="of runs (default: test/personal); files have test/global only")
    add("--draws", type=int, default=DRAWS, help=f"bootstrap and permutation draws, 100 or more (default: {DRAWS})")
    add("--seed", type=int, default=0, help="of the draws (default: 0)")
    add("--json", type=Path, metavar="OUT", help="write every comparison to this file as well")
    add("--root", type=Path, default=ROOT, help="project folder that holds runs/ (default: this checkout)")


def _default_metrics() -> list[str]:
    """The metrics without --metric: those of these that all systems have."""
    return [metric.key for metric in shown("compare")]


def main(args: argparse.Namespace) -> int:
    """Compare every pair of systems; writes --json and prints the table."""
    if len(args.system) < 2:
        raise ConfigError("compare needs two systems or more")
    if not 100 <= args.draws <= MOST_DRAWS:
        raise ConfigError(f"--draws {args.draws} is out of range; allowed: 100 to {MOST_DRAWS}.")
    check_outputs([args.json])
    tables = [load(name, args.root) for name in args.system]
    at = args.at or _common_view(tables)
    systems = [_system(name, table, at) for name, table in zip(_short(args.system), tables, strict=True)]
    for other in systems[1:]:
        check_same_studies(systems[0], other)
    rows = compare(systems, _metrics(systems, args.metric), args.draws, args.seed)
    studies, patients = len(systems[0].table), systems[0].table["patient_id"].nunique()
    if args.json:
        content = {"at": at, "n": studies, "patients": patients, "draws": args.draws, "comparisons": rows}
        write_json(content, args.json)
    head = f"{at}: {studies} studies of {patients} patients, {args.draws} draws, {len(rows)} comparisons"
    print(f"{head}\n{text(rows)}", file=messages([args.json]))
    return 0


def load(name: str, root: Path) -> pd.DataFrame:
    """Per-study values: of a run by its id, from a --per-study file, or of a table of reports, which is scored now."""
    file = Path(name)
    if not file.is_file() and (file.is_dir() or not file.suffix):
        return _of_run(run_folder(root / "runs", name))
    if file.suffix == ".parquet" and file.is_file():
        table = read_stored(file, ())
        if table.attrs.get("metrics"):
            return read_stored(file, NEEDED)
    from benchmark.commands.score import generations
    from fedmrg_core.metrics.scorecard import scorecard

    return scorecard(generations(read_table(file, ("reference", "hypothesis"))), None, resamples=0).per_study


def _of_run(folder: Path) -> pd.DataFrame:
    if not (folder / PER_STUDY).exists():
        done = RunFolder(folder).finished()
        way = f"score --run {folder.name} --update" if done else f"bench --resume {folder.name}"
        raise DataError(f"has no {PER_STUDY}: `fedmrg {way}` makes it", str(folder))
    return read_stored(folder / PER_STUDY, NEEDED)


def _short(names: Sequence[str]) -> list[str]:
    """Names for printing: files without their folders, unless two would be equal."""
    short = [one_line(Path(name).name, 60) for name in names]
    return short if len(set(short)) == len(short) else [one_line(name) for name in names]


def _common_view(tables: Sequence[pd.DataFrame]) -> str:
    """test/personal if every system has it, else test/global."""
    personal = all(((table["part"] == "test") & (table["view"] == "personal")).any() for table in tables)
    return "test/personal" if personal else PART


def _system(name: str, table: pd.DataFrame, at: str) -> System:
    """The rows of one part and view, sorted by study; rows of one study stay in order."""
    from fedmrg_core.metrics import per_study
    from fedmrg_core.metrics.stats import SumMeasure

    views = sorted({f"{part}/{view}" for part, view in zip(table["part"], table["view"], strict=True)})
    choose(f"part and view of {name}", at, views)
    part, _, view = at.partition("/")
    rows = table[(table["part"] == part) & (table["view"] == view)].sort_values("study_id", kind="stable")
    rows = rows.reset_index(drop=True)
    return System(name, rows, {m.name: m for m in per_study.measures(rows) if isinstance(m, SumMeasure)})


def check_same_studies(one: System, other: System) -> None:
    """Raises DataError where two systems do not have the same studies, patients and references.

    Per-study values have no text, so references are compared by their length in words and, if both systems were read by
    the same labeler version, by their labels.
    """
    first, second = list(one.table["study_id"]), list(other.table["study_id"])
    if first != second:
        common = len(set(first) & set(second))
        counts = f"{one.name} has {len(first)} rows, {other.name} {len(second)}, {common} studies are common"
        raise DataError(f"not the same studies: {counts}. Give both files the same ids (column id)")
    labelers = {system.measures["ce_f1_micro14"].version for system in (one, other)}
    references = [_references(system.table, len(labelers) == 1) for system in (one, other)]
    for row, (a, b) in enumerate(zip(*references, strict=True)):
        if a != b:
            raise DataError(
                f"study {first[row]} has another patient or reference in {one.name} than in {other.name} "
                "(runs of other seeds may have other data: `fedmrg leaderboard` compares over seeds)"
            )


def _references(table: pd.DataFrame, labels: bool) -> list[tuple[Any, ...]]:
    lengths = [float(counts[9]) for counts in table["bleu_counts"]]
    states = [tuple(int(state) for state in row) if labels else () for row in table["reference_labels"]]
    return list(zip(table["patient_id"].astype(str), lengths, states, strict=True))


def _metrics(systems: Sequence[System], wanted: Sequence[str]) -> list[str]:
    """The metrics to compare; each must have the same version in all systems."""
    names = [name for name in _default_metrics() if all(_defined(system, name) for system in systems)]
    for system in systems:
        for name in wanted:
            choose(f"metric of {system.name}", name, system.measures)
            if not _defined(system, name):
                raise DataError(f"{name} is not defined for the studies of {system.name}")
    names = list(dict.fromkeys(wanted)) or names
    for name, (one, other) in itertools.product(names, itertools.pairwise(systems)):
        versions = one.measures[name].version, other.measures[name].version
        if versions[0] != versions[1]:
            raise DataError(
                f"{name} has version '{versions[0]}' in {one.name} and '{versions[1]}' in {other.name}: score the "
                "older one again (`fedmrg score --run RUN_ID --update`)"
            )
    return names


def _defined(system: System, name: str) -> bool:
    """Whether a system has a metric with a value: a ratio may have none."""
    return name in system.measures and math.isfinite(_value(system, name))


def compare(systems: Sequence[System], metrics: Sequence[str], draws: int, seed: int) -> list[dict[str, Any]]:
    """Every metric of every pair: {metric, first, second, first_value, second_value, value, low, high, p, p_holm,
    higher_is_better}; value is first minus second. Draws depend only on seed and pair: all metrics of a pair use the
    same patients."""
    from fedmrg_core.metrics.compare import holm, paired
    from fedmrg_core.seeding import generator

    rows = []
    for one, other in itertools.combinations(systems, 2):
        patients = list(one.table["patient_id"].astype(str))
        for name in metrics:
            rng = generator(seed, "compare", one.name, other.name)
            found = paired(one.measures[name], other.measures[name], patients, rng, draws)
            pair: dict[str, Any] = {"metric": name, "first": one.name, "second": other.name}
            pair |= {"first_value": _value(one, name), "second_value": _value(other, name)}
            rows.append({**pair, **asdict(found), "higher_is_better": one.measures[name].higher_is_better})
    corrected = holm({str(number): row["p"] for number, row in enumerate(rows)})
    return [{**row, "p_holm": corrected[str(number)]} for number, row in enumerate(rows)]


def _value(system: System, name: str) -> float:
    """A metric over all studies of a system."""
    measure = system.measures[name]
    return float(measure.combine(measure.rows.sum(0)))


def text(rows: Sequence[dict[str, Any]]) -> str:
    """The printed table, pair by pair."""
    lines = []
    for (first, second), members in itertools.groupby(rows, key=lambda row: (row["first"], row["second"])):
        lines += ["", f"{first} - {second}"]
        lines.append(f"  {'':<18}{'first':>8}{'second':>8}{'difference [95 % interval]':>28}{'p':>8}{'p, Holm':>8}")
        for row in members:
            values = f"{row['first_value']:>8.4f}{row['second_value']:>8.4f}"
            cell = f"{row['value']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            lines.append(f"  {row['metric']:<18}{values}{cell:>28}{row['p']:>8.4f}{row['p_holm']:>8.4f}")
    return "\n".join(lines)
