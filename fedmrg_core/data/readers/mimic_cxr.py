"""MIMIC-CXR-JPG with MIMIC-CXR's reports (PhysioNet, credentialed), and R2Gen's annotation of them.

PhysioNet's tree: files/p10/p10000032/s50414267/*.jpg, mimic-cxr-2.0.0-{metadata,split,chexpert,negbio}.csv(.gz), and
the reports files/p10/p10000032/s50414267.txt, or below mimic-cxr-reports/, or in mimic-cxr-reports.zip. R2Gen's:
annotation.json with images/p10/..

The rules, each counted in `left_out`. The report is its findings section (sections.py). Left out is a study without
one (`no_findings`), without a report (`no_report`), without a row in the split file (`no_split`), or without a frontal
film: its films are lateral (`lateral_only`), of other views (`no_frontal_film`), or one has no view (`view_unknown`).
Of several frontal films PA goes before AP, then the first by id (`several_frontal_films`). Labels are CheXpert's (else
NegBio's, else the rule labeler's, `labels_by_rules`); `Study.part` is the official split.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from fedmrg_core.data.bounded import read_bounded
from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.labels import labels_of_row
from fedmrg_core.data.readers.annotation import ANNOTATION, annotates, entries, number
from fedmrg_core.data.readers.sections import sections
from fedmrg_core.data.source import Metadata
from fedmrg_core.data.table import Table, is_number, read_table
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.types import CONDITIONS, Labels, Study

PREFIX = "mimic-cxr-2.0.0-"
REPORT_ZIP = "mimic-cxr-reports.zip"
PARTS = {"train": "train", "validate": "val", "val": "val", "test": "test"}
RANK = {"PA": 0, "AP": 1, "postero-anterior": 0, "antero-posterior": 1}
"""Frontal views, the preferred first."""

MAX_REPORT_BYTES = 16 << 20

COLUMNS = (
    "dicom_id",
    "subject_id",
    "study_id",
    "ViewPosition",
    "ViewCodeSequence_CodeMeaning",
    "Rows",
    "Columns",
    "PerformedProcedureStepDescription",
)

Film = tuple[int, str, dict[str, str]]
"""Rank of the view (-1: not frontal), DICOM id, metadata of one film."""


def layout_of(root: Path) -> str:
    """ "physionet", "r2gen" or ""."""
    if _table_path(root, "metadata") is not None:
        return "physionet"
    return "r2gen" if annotates(root, '"subject_id"') else ""


@data_set(
    "mimic_cxr",
    default_split="mimic_cxr/group",
    detect=lambda root: bool(layout_of(root)),
    looked_for=f"{PREFIX}metadata.csv(.gz)",
    impressions=True,
)
class MimicSource(FileSource):
    """The reader. Study ids are `s50414267`, patients `p10000032`. Its text goes nowhere: `credentialed`."""

    credentialed = published = True

    def __init__(self, root: Path, data: DataConfig) -> None:
        super().__init__(root, data)
        self._metadata: Metadata = {}

    def metadata(self) -> Metadata:
        """By study id: `view`, `rows`, `columns` and `procedure` of the film; `findings`: CheXpert's positives."""
        self.studies()
        return self._metadata

    def _read(self) -> list[Study]:
        if layout_of(self.root) == "r2gen":
            if self.data.impression:
                raise DataError("data.impression = true, and R2Gen's annotation has findings alone", str(self.root))
            return self._annotated()
        films, parts = self._films(), self._parts()
        labels = _labels(self.root)
        reports = _Reports(self.root)
        studies: list[Study] = []
        for (patient, name), own in sorted(films.items()):
            text = reports.text(patient, name)
            parts_of = sections(text or "")
            report = parts_of.get("findings", "")
            reason = self._fault(own, name in parts, text, report)
            if reason:
                self.count(reason)
                continue
            frontal = [film for film in own if film[0] >= 0]
            self.count("several_frontal_films", len(frontal) > 1)
            _, dicom, meta = min(frontal, key=lambda film: film[:2])
            self.locations[name] = (f"{PREFIX}metadata.csv", int(meta.pop("row")))
            states = labels.get(name)
            positive = [c for c, state in zip(CONDITIONS, states or (), strict=False) if state == 1]
            self._metadata[name] = {**meta, "findings": ";".join(positive)}
            second = min((film[1] for film in own if _is_lateral(film)), default="")
            report = f"{report} {parts_of.get('impression', '')}".strip() if self.data.impression else report
            folder = f"files/{patient[:3]}/{patient}/{name}"
            image = f"{folder}/{dicom}.jpg"
            if second:
                self.lateral[name] = f"{folder}/{second}.jpg"
            studies.append(Study(name, patient, image, report, states or (), "", parts[name]))
        return self._labelled(studies)

    @staticmethod
    def _fault(films: list[Film], in_split: bool, text: str | None, report: str) -> str:
        if not any(film[0] >= 0 for film in films):
            unknown, lateral = any(not film[2]["view"] for film in films), all(map(_is_lateral, films))
            return "view_unknown" if unknown else "lateral_only" if lateral else "no_frontal_film"
        if not in_split:
            return "no_split"
        return "no_report" if text is None else "" if report else "no_findings"

    def _films(self) -> dict[tuple[str, str], list[Film]]:
        """(patient, study) -> its films."""
        table = _table(self.root, "metadata", ("dicom_id", "subject_id", "study_id", "ViewPosition"))
        table.unique(("dicom_id",))
        films: dict[tuple[str, str], list[Film]] = {}
        patient_of: dict[str, str] = {}
        for row, cells in zip(table.numbers, zip(*(table.column(name) for name in COLUMNS), strict=True), strict=True):
            dicom, subject, study, view, code, height, width, procedure = (cell.strip() for cell in cells)
            patient, name = _id("p", subject, table, row), _id("s", study, table, row)
            own = films.setdefault((patient, name), [])
            if patient_of.setdefault(name, patient) != patient:
                raise DataError(f"study {name} is {patient_of[name]}'s above and {patient}'s here", table.file, row)
            rank = RANK.get(view.upper(), RANK.get(code.lower() if not view else "", -1))
            meta = {"view": view or code, "rows": height, "columns": width, "procedure": procedure, "row": str(row)}
            own.append((rank, dicom, meta))
        return films

    def _parts(self) -> dict[str, str]:
        table = _table(self.root, "split", ("study_id", "split"))
        parts: dict[str, str] = {}
        for row, study, part in zip(table.numbers, table.column("study_id"), table.column("split"), strict=True):
            if part.strip() not in PARTS:
                raise DataError(f"split '{one_line(part)[:40]}' is none of train, validate and test", table.file, row)
            name, own = _id("s", study, table, row), PARTS[part.strip()]
            if parts.setdefault(name, own) != own:
                raise DataError(f"study {name} is in {parts[name]} above and in {own} here", table.file, row)
        return parts

    def _annotated(self) -> list[Study]:
        studies: dict[str, Study] = {}
        for entry in entries(self.root):
            name, patient = f"s{number(entry, 'study_id')}", f"p{number(entry, 'subject_id')}"
            if not entry.report or name in studies:
                self.count("several_frontal_films" if name in studies else "no_findings")
                continue
            self.locations[name] = (ANNOTATION, entry.row)
            studies[name] = Study(name, patient, f"images/{entry.images[0]}", entry.report, (), "", entry.part)
        return self._labelled(list(studies.values()))


def _is_lateral(film: Film) -> bool:
    return re.search(r"\bLATERAL\b|^LL$", film[2]["view"].upper()) is not None


class _Reports:
    """Report texts by patient and study: files in the tree, or members of the zip file."""

    def __init__(self, root: Path) -> None:
        self._folders = [folder for folder in (root, root / "mimic-cxr-reports") if (folder / "files").is_dir()]
        self._zip: zipfile.ZipFile | None = None
        if (root / REPORT_ZIP).is_file():
            try:
                self._zip = zipfile.ZipFile(root / REPORT_ZIP)
            except Exception as error:  # zipfile raises nearly anything on damaged files
                raise DataError(f"cannot be read ({error})", REPORT_ZIP) from None

    def text(self, patient: str, study: str) -> str | None:
        """The report; None where there is none. Raises DataError where it cannot be read."""
        name = f"files/{patient[:3]}/{patient}/{study}.txt"
        try:
            for folder in self._folders:
                if (folder / name).is_file():
                    with (folder / name).open("rb") as file:
                        return read_bounded(file, MAX_REPORT_BYTES, name).decode("utf-8", "replace")
            if self._zip is None:
                return None
            with self._zip.open(name) as member:
                return read_bounded(member, MAX_REPORT_BYTES, name).decode("utf-8", "replace")
        except KeyError:
            return None
        except DataError:
            raise
        except Exception as error:  # zipfile raises nearly anything on damaged members
            raise DataError(f"report cannot be read ({error})", name) from None


def _labels(root: Path) -> dict[str, Labels]:
    """Study -> CheXpert's labels, else NegBio's; empty where neither file exists."""
    for kind in ("chexpert", "negbio"):
        if _table_path(root, kind) is None:
            continue
        table = _table(root, kind, ("study_id", *CONDITIONS))
        table.unique(("study_id",))
        found: dict[str, Labels] = {}
        columns = [table.column(name) for name in CONDITIONS]
        for row, study, *cells in zip(table.numbers, table.column("study_id"), *columns, strict=True):
            try:
                found[_id("s", study, table, row)] = labels_of_row(cells)
            except ValueError as error:
                raise DataError(str(error), table.file, row) from None
        return found
    return {}


def _id(letter: str, digits: str, table: Table, row: int) -> str:
    if not is_number(digits.strip()):
        what = "patient" if letter == "p" else "study"
        raise DataError(f"'{one_line(digits)[:40]}' is not a number of a {what}", table.file, row)
    return letter + digits.strip()


def _table_path(root: Path, kind: str) -> Path | None:
    paths = (root / f"{PREFIX}{kind}.csv", root / f"{PREFIX}{kind}.csv.gz")
    return next((path for path in paths if path.is_file()), None)


def _table(root: Path, kind: str, required: tuple[str, ...]) -> Table:
    path = _table_path(root, kind)
    if path is None:
        raise DataError(f"'{root}' lacks {PREFIX}{kind}.csv(.gz)")
    return read_table(path, required)
