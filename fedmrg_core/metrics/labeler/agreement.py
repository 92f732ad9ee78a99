"""Agreement of the rule labeler with human codes and with CheXbert, on the open IU X-ray reports (docs/labeler.md).

    python -m fedmrg_core.metrics.labeler.agreement FOLDER      # with iu_xray/indiana_reports.csv and the other tables

The rules were written on the development part: reports with an even uid. Those with an odd uid are held back.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedmrg_core.metrics.clinical import Flags, prf
from fedmrg_core.metrics.labeler import label_many
from fedmrg_core.metrics.stats import Floats
from fedmrg_core.types import CONDITIONS, Labels, LabelState

PARTS: tuple[str, ...] = ("development", "held back", "all")
_STATE = {"1": LabelState.POSITIVE, "0": LabelState.NEGATIVE, "-1": LabelState.UNCERTAIN, "": LabelState.BLANK}


@dataclass(frozen=True)
class Report:
    """One study of the R2Gen split: findings, impression, its human codes and, on train, CheXbert's states."""

    uid: int
    findings: str
    impression: str
    codes: frozenset[str]
    chexbert: Labels | None


def read(folder: Path) -> list[Report]:
    """The 2,955 studies of the R2Gen split, from the folder of `iu_xray/`."""
    tables = folder / "iu_xray"
    with (tables / "indiana_reports.csv").open(encoding="utf-8") as stream:
        rows = {int(row["uid"]): row for row in csv.DictReader(stream)}
    with (tables / "chexbert_labels_train.csv").open(encoding="utf-8") as stream:
        machine = {int(row["uid"]): _states(row) for row in csv.DictReader(stream)}
    split = json.loads((tables / "annotation.json").read_text(encoding="utf-8"))
    found = []
    for study in (study for part in split.values() for study in part):
        uid = int(study["id"].split("_")[0].removeprefix("CXR"))
        codes = frozenset(code.strip() for code in rows[uid]["Problems"].split(";"))
        found.append(Report(uid, study["report"], rows[uid]["impression"], codes, machine.get(uid)))
    return found


def _states(row: dict[str, str]) -> Labels:
    return tuple(int(_STATE[row[condition]]) for condition in CONDITIONS)


def part_of(reports: Sequence[Report], part: str) -> list[Report]:
    """The reports of one of `PARTS`."""
    wanted = {"development": (0,), "held back": (1,), "all": (0, 1)}[part]
    return [report for report in reports if report.uid % 2 in wanted]


def human_f1(reports: Sequence[Report], folder: Path, impression: bool) -> float:
    """Micro F1 of "positive or uncertain" against the human codes, over the conditions of mesh_map.csv."""
    with (folder / "iu_xray" / "mesh_map.csv").open(encoding="utf-8") as stream:
        pairs = [(row["condition"], row["problem"]) for row in csv.DictReader(stream)]
    texts = [f"{r.findings}\n\nIMPRESSION: {r.impression}" if impression else r.findings for r in reports]
    states = np.array(label_many(texts))
    total = np.zeros(3)
    for condition in dict(pairs):
        codes = {problem for name, problem in pairs if name == condition}
        truth = np.array([bool(codes & report.codes) for report in reports])
        said = np.isin(states[:, CONDITIONS.index(condition)], (LabelState.POSITIVE, LabelState.UNCERTAIN))
        total += _counts(truth, said)
    return _f1(total)


def chexbert_f1(reports: Sequence[Report], state: LabelState, rare: int = 0) -> tuple[float, float]:
    """(micro, macro) F1 of one state against CheXbert's labels; macro over conditions with `rare` or more of them.

    No Finding counts for positives only: the rule labeler never makes it negative.
    """
    labelled = [report for report in reports if report.chexbert is not None]
    truth = np.array([report.chexbert for report in labelled]) == state
    said = np.array(label_many([report.findings for report in labelled])) == state
    last = len(CONDITIONS) if state == LabelState.POSITIVE else len(CONDITIONS) - 1
    table = np.array([_counts(truth[:, c], said[:, c]) for c in range(last)])
    frequent = [row for row in table if row[0] + row[2] >= max(rare, 1)]
    return _f1(table.sum(0)), float(np.mean([_f1(row) for row in frequent]))


def _counts(truth: Flags, said: Flags) -> Floats:
    return np.array([(truth & said).sum(), (~truth & said).sum(), (truth & ~said).sum()], dtype=np.float64)


def _f1(counts: Floats) -> float:
    return float(prf(counts[0:1], counts[1:2], counts[2:3], "f1")[0])


def main(folder: Path, show: Callable[[str], None] = print) -> None:
    """Print both agreements for every part."""
    reports = read(folder)
    for part in PARTS:
        own = part_of(reports, part)
        findings, both = (human_f1(own, folder, impression) for impression in (False, True))
        micro, macro = chexbert_f1(own, LabelState.POSITIVE, rare=20 if part == "all" else 10)
        negative, _ = chexbert_f1(own, LabelState.NEGATIVE)
        show(f"{part}: human codes, micro F1 {findings:.3f} (findings), {both:.3f} (with impression); CheXbert, ")
        show(f"    positive micro {micro:.3f} macro {macro:.3f}, negative micro {negative:.3f}; {len(own)} reports")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
