"""CheXpert Plus (Stanford AIMI, under its research use agreement): df_chexpert_plus_240401.csv with PNG/.

The rules, each counted in `left_out`: one study per patient and study folder. Its report is the findings section; a
study without one is left out (`no_findings`), as is one without a frontal film (`lateral_only`;
`view_unknown` where a film has no view). PA goes before AP,
then the first view (`several_frontal_films`). Labels are the rule labeler's (`labels_by_rules`), so that they mean the
same here as at IU X-ray's hospitals.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.table import read_table
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.types import Study

TABLE = "df_chexpert_plus_240401.csv"
COLUMNS = ("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "section_findings", "split")
IMPRESSION = "section_impression"
_PATH = re.compile(r"(train|valid|test)/(patient\d+)/(study\d+)/(view\d+_\w+)\.\w+$")


BEAM_RANK = {"PA": 0, "AP": 1}
"""Frontal views, the preferred first."""


class _Film(NamedTuple):
    """A row of the table. `rank`: of the view, -1 where it is not frontal."""

    rank: int
    image: str
    view: str
    report: str
    patient: str
    row: int


@data_set("chexpert_plus", detect=lambda root: (root / TABLE).is_file(), looked_for=TABLE, impressions=True)
class ChexpertPlusSource(FileSource):
    """The reader. Study ids are `patient1/study1`. Its text goes nowhere: `credentialed`."""

    credentialed = published = True

    def _read(self) -> list[Study]:
        table = read_table(self.root / TABLE, (*COLUMNS, *([IMPRESSION] if self.data.impression else [])))
        table.unique(("path_to_image",))
        films: dict[str, list[_Film]] = {}
        parts: dict[str, str] = {}
        cells = zip(*(table.column(name) for name in COLUMNS), strict=True)
        said = table.column(IMPRESSION) if self.data.impression else [""] * len(table.numbers)
        for row, impression, (path, view, beam, patient, findings, _) in zip(table.numbers, said, cells, strict=True):
            match = _PATH.search(path.strip())
            if match is None:
                wanted = "train/patient1/study1/view1_frontal.jpg"
                raise DataError(f"path_to_image '{one_line(path)[:60]}' is not {wanted}", TABLE, row)
            part, name = match.group(1), f"{match.group(2)}/{match.group(3)}"
            if parts.setdefault(name, part) != part:
                raise DataError(f"study {name} is in {parts[name]} above and in {part} here", TABLE, row)
            image = f"{match.group(0).rsplit('.', 1)[0]}.png"
            kind = view.strip().lower()
            rank = BEAM_RANK.get(beam.strip().upper(), 2) if kind == "frontal" else -1
            film = _Film(rank, image, kind, _report(findings, impression), patient.strip(), row)
            films.setdefault(name, []).append(film)
        return self._labelled([study for name in sorted(films) for study in self._study(name, films[name])])

    def _study(self, name: str, films: list[_Film]) -> list[Study]:
        """The study, in a list; none, and a count, where it is left out."""
        frontal = [film for film in films if film.rank >= 0]
        report = next((film.report for film in frontal if film.report), "")
        if not frontal or not report:
            unknown = any(not film.view for film in films)
            self.count("no_findings" if frontal else "view_unknown" if unknown else "lateral_only")
            return []
        self.count("several_frontal_films", len(frontal) > 1)
        film = min(frontal)
        self.locations[name] = (TABLE, film.row)
        folder = "PNG/PNG" if (self.root / "PNG" / "PNG").is_dir() else "PNG"
        second = [film.image for film in films if film.view == "lateral"]
        if second:
            self.lateral[name] = f"{folder}/{second[0]}"
        return [Study(name, film.patient or name.split("/")[0], f"{folder}/{film.image}", report, (), "")]


def _report(findings: str, impression: str) -> str:
    """The findings, and the impression after them; "" without findings."""
    findings = prepare_report(findings)
    return f"{findings} {prepare_report(impression)}".strip() if findings else ""
