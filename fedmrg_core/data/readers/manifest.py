"""A folder with `manifest.csv` as a data set: `make bench ALGO=fedmrg DATA=dir`.

Columns `image` (path below the folder) and `report`; optional `study`, `patient`, `hospital`, `split`, `lateral` (path
of a lateral film, read with `model.views = 2`), and the 14 CheXpert conditions (1, 0, -1, blank). Without `study` the
image path is the id, without `patient` each study is its own patient, without the conditions the rule labeler labels
the reports. docs/data.md has the rules in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fedmrg_core.data.bad_rows import BadRows
from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.hospital_names import HospitalKeys
from fedmrg_core.data.images import safe_path
from fedmrg_core.data.labels import label_columns, label_reports, labels_of_row
from fedmrg_core.data.table import Table, read_table
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.types import CONDITIONS, Study

FILE = "manifest.csv"
COLUMNS = ("image", "report", "study", "patient", "hospital", "split", "lateral")
PART_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}


@data_set("manifest", detect=lambda root: (root / FILE).is_file(), looked_for=FILE, precedence=1)
class ManifestSource(FileSource):
    """The manifest reader. `studies()` raises DataError naming every kind of bad row, unless on_bad is "skip"."""

    def _read(self) -> list[Study]:
        table = read_table(self.root / FILE, ("image", "report"), ragged=True)
        table.refuse_lookalikes((*COLUMNS, *CONDITIONS))
        bad = BadRows(FILE)
        studies = _good_rows(table, self.root, bad, self.locations, self.lateral)
        self.left_out |= bad.settle(self.data.on_bad)
        if not label_columns(table):
            labels = label_reports([study.report for study in studies])
            studies = [replace(study, labels=states) for study, states in zip(studies, labels, strict=True)]
            self.count("labels_by_rules", when=bool(studies), number=len(studies))
        return studies


Locations = dict[str, tuple[str, int | None]]


def _good_rows(
    table: Table, root: Path, bad: BadRows, locations: Locations, lateral: dict[str, str]
) -> list[Study]:
    """Check each row; `locations` receives file and row by study id, and `lateral` the path of a lateral film."""
    labelled = label_columns(table)
    columns = {name: table.column(name) for name in COLUMNS}
    conditions = [table.column(name) for name in CONDITIONS] if labelled else []
    first_row: dict[str, tuple[str, str, int]] = {}
    studies: list[Study] = []
    keys = HospitalKeys()
    for at, row in enumerate(table.numbers):
        cells = {name: values[at].strip() for name, values in columns.items()}
        try:
            if len(table.rows[at]) != len(table.header):
                raise _Bad("columns", f"{len(table.rows[at])} cells, but the header has {len(table.header)}")
            study = _study(cells, table, [column[at] for column in conditions], keys)
            _unique(study, row, locations, first_row)
            for film in filter(None, (study.image, cells["lateral"])):
                safe_path(root, film)
        except _Bad as error:
            bad.add(error.reason, row, str(error))
        except DataError as error:
            bad.add("image", row, str(error))
        else:
            locations[study.study_id] = (FILE, row)
            lateral |= {study.study_id: cells["lateral"]} if cells["lateral"] else {}
            first_row[study.patient_id] = (study.hospital, study.part, row)
            studies.append(study)
    return studies


class _Bad(Exception):
    """One row's fault; `reason` is its key in `left_out`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _study(cells: dict[str, str], table: Table, labels: Sequence[str], keys: HospitalKeys) -> Study:
    report = prepare_report(cells["report"])
    study_id = cells["study"] or cells["image"]
    if not cells["image"]:
        raise _Bad("no_image", "the image cell is empty")
    if not report:
        raise _Bad("empty_report", "the report is empty")
    if table.has("study") and not cells["study"]:
        raise _Bad("no_study", "the study cell is empty")
    if table.has("patient") and not cells["patient"]:
        raise _Bad("no_patient", "the patient cell is empty; without patients leave the column out")
    if table.has("hospital") and not cells["hospital"]:
        raise _Bad("no_hospital", "the hospital cell is empty")
    part = PART_NAMES.get(cells["split"].lower(), "")
    if table.has("split") and not part:
        raise _Bad("split", f"split '{one_line(cells['split'])}' is none of train, val and test")
    try:
        hospital = keys(cells["hospital"])
    except DataError as error:
        raise _Bad("hospital", str(error)) from None
    try:
        states = labels_of_row(labels) if labels else (0,) * len(CONDITIONS)
    except ValueError as error:
        raise _Bad("label", str(error)) from None
    return Study(study_id, cells["patient"] or study_id, cells["image"], report, states, hospital, part)


def _unique(study: Study, row: int, locations: Locations, first_row: dict[str, tuple[str, str, int]]) -> None:
    if study.study_id in locations:
        raise _Bad("duplicate", f"study '{one_line(study.study_id)}' is in row {locations[study.study_id][1]} too")
    hospital, part, first = first_row.get(study.patient_id, (study.hospital, study.part, row))
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
