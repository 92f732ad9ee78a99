"""Indiana University chest X-rays (Open-i), in the three layouts that people have; the layout is found by looking.

Kaggle: indiana_reports.csv, indiana_projections.csv, images/images_normalized/*.png.
R2Gen: annotation.json, images/CXR2384_IM-0942/0.png.
Open-i: ecgen-radiology/*.xml, NLMCXR_png/*.png, and Kaggle's indiana_projections.csv, for the XML does not say which
film is frontal (nor, reliably, do the DICOM headers).

The rules, each with its count in `left_out`: the report is the findings section as written, XXXX marks and all
(`reports_with_xxxx`), with `data.impression` the impression after it; without findings a study is left out
(`no_findings`), as without a frontal film (`no_frontal_film`); of several frontal films the first listed is taken
(`several_frontal_films`), and a lateral one is not read (`with_lateral_view`; the others are `frontal_view_only`). A
study is its own patient: IU names none.
R2Gen's 2,955 studies are a part of the collection; a split's other studies are then counted as `split_studies_absent`.
docs/data.md says where to get the films.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.labels import label_reports
from fedmrg_core.data.readers.annotation import ANNOTATION, annotates, entries
from fedmrg_core.data.source import Metadata
from fedmrg_core.data.table import is_number, read_table
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.types import Labels, Study

REPORTS, PROJECTIONS, XML = "indiana_reports.csv", "indiana_projections.csv", "ecgen-radiology"
FILM_FOLDERS = ("images/images_normalized", "images_normalized", "images", "NLMCXR_png", ".")
ACQUISITION = "acquisition.csv"
ACQUISITION_COLUMNS = ("uid", "private_creator", "plate_type")


@dataclass(frozen=True)
class RawStudy:
    """One study as a layout gives it. `films`: (path below the root, "frontal", "lateral" or "unknown")."""

    uid: str
    findings: str
    impression: str
    problems: str
    films: tuple[tuple[str, str], ...]
    file: str
    row: int | None

    def report(self, impression: bool) -> str:
        """Its findings, with the impression after them if that is asked for."""
        return f"{self.findings} {self.impression}".strip() if impression else self.findings


def layout_of(root: Path) -> str:
    """ "kaggle", "r2gen" or "openi"; "" where the folder holds none of them."""
    if (root / REPORTS).is_file():
        return "kaggle"
    if (root / XML).is_dir():
        return "openi"
    return "r2gen" if annotates(root, r'"id":\s*"CXR\d+_') else ""


@data_set(
    "iu_xray",
    default_split="iu_xray/group",
    detect=lambda root: bool(layout_of(root)),
    looked_for=f"{REPORTS}, {XML}/, annotation.json",
    impressions=True,
)
class IUXraySource(FileSource):
    """The reader. A film that is not there is found when it is decoded. Study ids are `CXR1`, .."""

    def __init__(self, root: Path, data: DataConfig) -> None:
        super().__init__(root, data)
        self.layout = layout_of(root)
        self.partial = self.layout == "r2gen"
        self._records: dict[str, RawStudy] = {}

    def metadata(self) -> Metadata:
        """By study id: `acquisition` system, `plate` type and MeSH `problems` (";" between them), where known."""
        systems = acquisition(self.root)
        found = {}
        for study in self.studies():
            record = self._records[study.study_id]
            system, plate = systems.get(record.uid, ("", ""))
            found[study.study_id] = {"acquisition": system, "plate": plate, "problems": record.problems}
        return found

    def _read(self) -> list[Study]:
        read = {"kaggle": _kaggle, "r2gen": _r2gen, "openi": _openi}.get(self.layout)
        if read is None:
            raise DataError(f"no IU X-ray layout in '{self.root}' (see docs/data.md)")
        if self.data.impression and self.layout == "r2gen":
            raise DataError(f"data.impression = true, and R2Gen's {ANNOTATION} has findings alone", ANNOTATION)
        kept = [(record, film) for record in read(self.root) for film in self._film(record)]
        reports = [record.report(self.data.impression) for record, _ in kept]
        labels = label_reports(reports)
        found = zip(kept, reports, labels, strict=True)
        return [_study(record, film, report, states) for (record, film), report, states in found]

    def _film(self, record: RawStudy) -> list[str]:
        """The film to read, in a list; none, and a note, where the study is left out."""
        frontal = [path for path, view in record.films if view == "frontal"]
        frontal = frontal or [path for path, view in record.films if view == "unknown"][:1]
        if not record.findings or not frontal:
            self.count("no_frontal_film" if record.findings else "no_findings")
            return []
        name = f"CXR{record.uid}"
        if name in self._records:
            raise DataError(f"study {record.uid} is listed twice", record.file, record.row)
        self.count("reports_with_xxxx", "XXXX" in record.findings)
        self.count("several_frontal_films", len(frontal) > 1)
        views = {view for _, view in record.films}
        self.count("with_lateral_view", "lateral" in views)
        self.count("frontal_view_only", views == {"frontal"})
        self._records[name], self.locations[name] = record, (record.file, record.row)
        second = [path for path, view in record.films if view == "lateral"]
        if self.layout == "r2gen":  # which lists the frontal film first
            second = [path for path, _ in record.films][1:]
        if second:
            self.lateral[name] = second[0]
        return frontal[:1]


def _study(record: RawStudy, film: str, report: str, labels: Labels) -> Study:
    name = f"CXR{record.uid}"
    return Study(name, name, film, report, labels, "")


def film_folder(root: Path, first: str) -> str:
    """The folder below the root that holds the film `first`; else the first known folder that exists."""
    there = [folder for folder in FILM_FOLDERS if (root / folder).is_dir()]
    return next((folder for folder in there if os.path.isfile(root / folder / first)), there[0])


def _projections(root: Path) -> dict[str, list[tuple[str, str]]]:
    """uid -> (Kaggle's film name, view), in file order."""
    table = read_table(root / PROJECTIONS, ("uid", "filename", "projection"))
    table.unique(("filename",))
    films: dict[str, list[tuple[str, str]]] = {}
    cells = zip(table.column("uid"), table.column("filename"), table.column("projection"), table.numbers, strict=True)
    for uid, name, view, row in cells:
        if view.strip().lower() not in ("frontal", "lateral"):
            raise DataError(f"projection '{one_line(view)[:40]}' is neither Frontal nor Lateral", PROJECTIONS, row)
        films.setdefault(uid.strip(), []).append((name.strip(), view.strip().lower()))
    return films


def _kaggle(root: Path) -> Iterable[RawStudy]:
    table = read_table(root / REPORTS, ("uid", "findings"))
    films = _projections(root)
    folder = film_folder(root, next((names[0][0] for names in films.values()), ""))
    columns = (table.column(name) for name in ("uid", "findings", "impression", "Problems"))
    for uid, findings, said, problems, row in zip(*columns, table.numbers, strict=True):
        if not is_number(uid.strip()):
            raise DataError(f"uid '{one_line(uid)[:40]}' is not a number", REPORTS, row)
        own = tuple((f"{folder}/{name}", view) for name, view in films.get(uid.strip(), []))
        codes = ";".join(code.strip() for code in problems.split(";"))
        yield RawStudy(uid.strip(), prepare_report(findings), prepare_report(said), codes, own, REPORTS, row)


def _r2gen(root: Path) -> Iterable[RawStudy]:
    for entry in entries(root):
        name = re.match(r"CXR([0-9]+)_", str(entry.fields.get("id", "")))
        if name is None:
            raise DataError("the entry needs an id such as CXR1_IM-0001", ANNOTATION, entry.row)
        films = tuple((f"images/{path}", "unknown") for path in entry.images)
        yield RawStudy(name.group(1), entry.report, "", "", films, ANNOTATION, entry.row)


def _openi(root: Path) -> Iterable[RawStudy]:
    if not (root / PROJECTIONS).is_file():
        raise DataError(f"'{root}' needs {PROJECTIONS} too: the XML does not say which film is frontal (docs/data.md)")
    films = _projections(root)
    first = next((_openi_name(uid, names[0][0]) for uid, names in films.items()), "")
    folder = film_folder(root, first)
    for path in sorted((root / XML).glob("*.xml")):
        file = f"{XML}/{path.name}"
        uid, sections, problems = read_report(path, file)
        own = tuple((f"{folder}/{_openi_name(uid, name)}", view) for name, view in films.get(uid, []))
        findings, said = (prepare_report(sections.get(name, "")) for name in ("FINDINGS", "IMPRESSION"))
        yield RawStudy(uid, findings, said, problems, own, file, None)


def _openi_name(uid: str, kaggle: str) -> str:
    """Kaggle's `1_IM-0001-4001.dcm.png` is Open-i's `CXR1_1_IM-0001-4001.png`."""
    return f"CXR{uid}_{kaggle.removesuffix('.dcm.png')}.png"


def read_report(path: Path, file: str) -> tuple[str, dict[str, str], str]:
    """uid, sections by heading in capitals, and MeSH problems (";" between them) of one Open-i XML. Raises DataError,
    which names it `file`."""
    try:
        raw = path.read_bytes()
        if b"<!ENTITY" in raw.replace(b"\0", b""):  # also in UTF-16
            raise DataError("declares XML entities, which no Open-i report does", file)
        tree = ElementTree.fromstring(raw)
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise DataError(f"is not well-formed XML ({error})", file) from None
    named = tree.find(".//IUXRId")
    uid = named.get("id", "") if named is not None else path.stem
    sections = {part.get("Label", "").upper(): part.text or "" for part in tree.iter("AbstractText")}
    problems = ";".join((term.text or "").split("/")[0].strip() for term in tree.iter("major"))
    if not is_number(uid):
        raise DataError(f"IUXRId '{one_line(uid)[:40]}' is not a number", file)
    return uid, sections, problems


def acquisition(root: Path) -> dict[str, tuple[str, str]]:
    """uid -> (acquisition system, plate type), from acquisition.csv, a table of DICOM metadata beside the reports."""
    if (root / ACQUISITION).is_file():
        table = read_table(root / ACQUISITION, ACQUISITION_COLUMNS)
        table.unique(("uid",))
        rows = zip(*map(table.column, ACQUISITION_COLUMNS), strict=True)
        return {uid.strip(): (system.strip(), plate.strip()) for uid, system, plate in rows}
    return {}
