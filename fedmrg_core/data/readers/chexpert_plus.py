"""CheXpert Plus (Stanford AIMI, under its research use agreement): df_chexpert_plus_240401.csv with PNG/.

The rules, each counted in `left_out`: one study per patient and study folder. Its report is the findings section; a
study without one is left out (`no_findings`), as is one without a frontal film (`lateral_only`). PA goes before AP,
then the first view (`several_frontal_films`). Labels are the rule labeler's (`labels_by_rules`), so that they mean the
same here as at IU X-ray's hospitals.
"""

from __future__ import annotations

import re

from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.table import read_table
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.types import Study

TABLE = "df_chexpert_plus_240401.csv"
COLUMNS = ("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "section_findings", "split")
_PATH = re.compile(r"(train|valid|test)/(patient\d+)/(study\d+)/(view\d+_\w+)\.\w+$")


@data_set("chexpert_plus", detect=lambda root: (root / TABLE).is_file(), looked_for=TABLE)
class ChexpertPlusSource(FileSource):
    """The reader. Study ids are `patient1/study1`. Its text goes nowhere: `credentialed`."""

    credentialed = published = True

    def _read(self) -> list[Study]:
        table = read_table(self.root / TABLE, COLUMNS)
        table.unique(("path_to_image",))
        found: dict[str, list[tuple[int, str, str, str, int]]] = {}
        cells = zip(*(table.column(name) for name in COLUMNS), strict=True)
        for row, (path, view, beam, patient, findings, _) in zip(table.numbers, cells, strict=True):
            match = _PATH.search(path.strip())
            if match is None:
                wanted = "train/patient1/study1/view1_frontal.jpg"
                raise DataError(f"path_to_image '{one_line(path)[:60]}' is not {wanted}", TABLE, row)
            own = found.setdefault(f"{match.group(2)}/{match.group(3)}", [])
            if view.strip().lower() == "frontal":
                rank = {"PA": 0, "AP": 1}.get(beam.strip().upper(), 2)
                report = prepare_report(findings)
                own.append((rank, f"{match.group(0).rsplit('.', 1)[0]}.png", report, patient.strip(), row))
        return self._kept(found)

    def _kept(self, found: dict[str, list[tuple[int, str, str, str, int]]]) -> list[Study]:
        kept: list[Study] = []
        folder = "PNG/PNG" if (self.root / "PNG" / "PNG").is_dir() else "PNG"
        for name, films in sorted(found.items()):
            report = next((film[2] for film in films if film[2]), "")
            if not films or not report:
                self.count("no_findings" if films else "lateral_only")
                continue
            self.count("several_frontal_films", len(films) > 1)
            _, image, _, patient, row = min(films)
            self.locations[name] = (TABLE, row)
            kept.append(Study(name, patient or name.split("/")[0], f"{folder}/{image}", report, (), ""))
        return self._labelled(kept)
