"""A folder with `manifest.csv` as a data set: `make bench ALGO=fedmrg DATA=dir`.

Columns `image` (path below the folder) and `report`; optional `study`, `patient`, `hospital`, `split`, and the 14
CheXpert conditions (1, 0, -1, blank). Without `study` the image path is the id, without `patient` each study is its
own patient, without the conditions the rule labeler labels the reports. docs/data.md has the rules in full.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fedmrg_core.data.bad_rows import BadRows
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.images import safe_path
from fedmrg_core.data.labels import label_columns, label_reports, labels_of_row
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.data.splits.divide import SMALLEST, deal, divide
from fedmrg_core.data.splits.duplicates import near_duplicate_groups
from fedmrg_core.data.table import Table, read_table
from fedmrg_core.errors import DataError, choose, one_line
from fedmrg_core.types import CONDITIONS, Study

FILE = "manifest.csv"
COLUMNS = ("image", "report", "study", "patient", "hospital", "split")
PART_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}


class ManifestSource(FileSource):
    """The manifest reader. `studies()` raises DataError naming every kind of bad row, unless on_bad is "skip"."""

    name = "manifest"
    has_hospitals = has_parts = False

    def _read(self) -> list[Study]:
        table = read_table(self.root / FILE, ("image", "report"), ragged=True)
        table.refuse_lookalikes((*COLUMNS, *CONDITIONS))
        self.has_hospitals, self.has_parts = table.has("hospital"), table.has("split")
        bad = BadRows(FILE)
        studies = _good_rows(table, self.root, bad, self.places)
        self.notes |= bad.settle(self.data.on_bad)
        if not label_columns(table):
            labels = label_reports([study.report for study in studies])
            studies = [replace(study, labels=states) for study, states in zip(studies, labels, strict=True)]
            self.notes["labels_by_rules"] = len(studies)
        return studies


Placement = dict[str, tuple[str, int | None]]


def _good_rows(table: Table, root: Path, bad: BadRows, places: Placement) -> list[Study]:
    """Check each row; `places` receives file and row by study id."""
    labelled = label_columns(table)
    columns = {name: table.column(name) for name in COLUMNS}
    conditions = [table.column(name) for name in CONDITIONS] if labelled else []
    home: dict[str, tuple[str, str, int]] = {}
    studies: list[Study] = []
    for at, row in enumerate(table.numbers):
        cells = {name: values[at].strip() for name, values in columns.items()}
        try:
            if len(table.rows[at]) != len(table.header):
                raise _Bad("columns", f"{len(table.rows[at])} cells, but the header has {len(table.header)}")
            study = _study(cells, table, [column[at] for column in conditions])
            _unique(study, row, places, home)
            safe_path(root, study.image)
        except _Bad as error:
            bad.add(error.reason, row, str(error))
        except DataError as error:
            bad.add("image", row, str(error))
        else:
            places[study.study_id] = (FILE, row)
            home[study.patient_id] = (study.hospital, study.part, row)
            studies.append(study)
    return studies


class _Bad(Exception):
    """One row's fault; `reason` is its key in the notes."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _study(cells: dict[str, str], table: Table, labels: Sequence[str]) -> Study:
    report = " ".join(cells["report"].split())
    study_id = cells["study"] or cells["image"]
    if not cells["image"]:
        raise _Bad("no_image", "the image cell is empty")
    if not report:
        raise _Bad("empty_report", "the report is empty")
    if table.has("study") and not cells["study"]:
        raise _Bad("no_study", "the study cell is empty")
    if table.has("patient") and not cells["patient"]:
        raise _Bad("no_patient", "the patient cell is empty; without patients leave the column out")
    if table.has("hospital") and not slug(cells["hospital"]):
        raise _Bad(
            "no_hospital", f"hospital '{one_line(cells['hospital'])}' gives no name (letters, digits, '.', '_', '-')"
        )
    part = PART_NAMES.get(cells["split"].lower(), "")
    if table.has("split") and not part:
        raise _Bad("split", f"split '{one_line(cells['split'])}' is none of train, val and test")
    try:
        states = labels_of_row(labels) if labels else (0,) * len(CONDITIONS)
    except ValueError as error:
        raise _Bad("label", str(error)) from None
    return Study(study_id, cells["patient"] or study_id, cells["image"], report, states, slug(cells["hospital"]), part)


def _unique(study: Study, row: int, places: Placement, home: dict[str, tuple[str, str, int]]) -> None:
    if study.study_id in places:
        raise _Bad("duplicate", f"study '{one_line(study.study_id)}' is in row {places[study.study_id][1]} too")
    hospital, part, first = home.get(study.patient_id, (study.hospital, study.part, row))
    if hospital != study.hospital:
        raise _Bad(
            "patient",
            f"patient '{one_line(study.patient_id)}' is at '{hospital}' in row {first} and at '{study.hospital}' "
            "here; if these are two people, make their ids differ",
        )
    if part != study.part:
        raise _Bad(
            "patient", f"patient '{one_line(study.patient_id)}' is in {part} in row {first} and in {study.part} here"
        )


def slug(name: str) -> str:
    """A hospital's name as it stands in metric keys: lower case letters, digits, '.', '_', '-'.

    >>> slug("St. Mary's / North")
    'st.-mary-s-north'
    """
    return re.sub(r"[^a-z0-9._]+", "-", name.strip().lower()).strip("-")


def assign_manifest(
    source: ManifestSource, studies: Sequence[Study], data: DataConfig, seed: int, clients: int | None
) -> Assignment:
    """Hospitals from the manifest, or dealt; parts from the manifest, or 70/10/20 by patient inside each hospital."""
    if source.has_hospitals:
        homes = _merged([study.hospital for study in studies], data, source.notes)
    else:
        count = clients or data.deal
        homes = deal(studies, {f"h{at + 1:02d}": 1 for at in range(count)}, seed)
        homes = _merged(homes, data, source.notes)
    unseen = frozenset(choose("unseen hospital", slug(name), set(homes)) for name in data.unseen_names)
    if unseen >= set(homes):
        raise DataError("every hospital is unseen; one at least must take part in training", FILE)
    if source.has_parts and data.dedup:
        raise DataError("dedup=true would move studies that the column 'split' has placed; leave one of them out", FILE)
    groups = near_duplicate_groups([study.report for study in studies]) if data.dedup else ()
    parts = [study.part for study in studies] if source.has_parts else divide(studies, homes, unseen, seed, groups)
    rows = zip((study.study_id for study in studies), homes, parts, strict=True)
    assignment = Assignment.of(rows, unseen)
    return assignment.first(clients) if clients and source.has_hospitals else assignment


def _merged(homes: list[str], data: DataConfig, notes: dict[str, int]) -> list[str]:
    """Refuse or merge hospitals under SMALLEST studies; merged and still too small, they join the smallest other."""
    sizes = {name: homes.count(name) for name in sorted(set(homes))}
    small = [name for name, size in sizes.items() if size < SMALLEST]
    if not small:
        return homes
    if data.small != "merge":
        raise DataError(
            f"hospital '{small[0]}' has {sizes[small[0]]} studies ({len(small)} of {len(sizes)} hospitals have under "
            f"{SMALLEST}); small=merge puts them together",
            FILE,
        )
    notes["hospitals_merged"] = len(small)
    large = [name for name in sizes if name not in small]
    target = "merged"
    if sum(sizes[name] for name in small) < SMALLEST and large:
        target = min(large, key=lambda name: (sizes[name], name))
    return [target if name in small else name for name in homes]
