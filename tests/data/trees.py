"""Data roots of MIMIC-CXR and CheXpert Plus in their exact layout, with made-up reports: nothing of the real ones; and
settings to read them with."""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from fedmrg_core.data.config import DataConfig
from fedmrg_core.types import CONDITIONS

SETTINGS = DataConfig(
    path="", on_bad="stop", small="refuse", unseen="", deal=5, dedup=False, impression=False, private=False,
    allow_text=False,
)  # fmt: skip


def own_folder(root: Path, columns: str, rows: Iterable[str]) -> Path:
    """A folder with a manifest: `columns` and the cells of `rows` follow the image; one film per row."""
    root.mkdir()
    lines = [f"image,{columns}"]
    for at, row in enumerate(rows):
        Image.fromarray(np.full((20, 20), at, np.uint8)).save(root / f"{at}.png")
        lines.append(f"{at}.png,{row}")
    (root / "manifest.csv").write_text("\n".join(lines), "utf-8")
    return root


REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough  // pneumonia?

 COMPARISON:  ___.

 FINDINGS:

 The heart is enlarged.  There is no
 pleural effusion.

 IMPRESSION:

 Cardiomegaly.
"""


class Tree:
    """A PhysioNet tree in a folder. Studies are added one by one, then written."""

    def __init__(self, root) -> None:
        self.root = root
        self.metadata, self.split, self.chexpert, self.reports = [], [], [], {}

    def add(self, subject, study, views, report=REPORT, part="train", labels=("1.0", "0.0", "-1.0", "")):
        for at, view in enumerate(views):
            dicom = f"{study:08d}-{at}"
            code = "postero-anterior" if view == "" else ""
            self.metadata.append((dicom, subject, study, "CHEST (PA AND LAT)", view, 2544 + at, 3056, code))
            if part:
                self.split.append((dicom, study, subject, part))
            folder = self.root / "files" / f"p{subject}"[:3] / f"p{subject}" / f"s{study}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((24, 20), (study + at) % 256, np.uint8)).save(folder / f"{dicom}.jpg")
        self.chexpert.append((subject, study, *(labels[k % len(labels)] for k in range(14))))
        if report is not None:
            self.reports[f"files/{f'p{subject}'[:3]}/p{subject}/s{study}.txt"] = report

    def write(self, zipped=False, packed=False, labels="chexpert"):
        head = (
            "dicom_id",
            "subject_id",
            "study_id",
            "PerformedProcedureStepDescription",
            "ViewPosition",
            "Rows",
            "Columns",
        )
        self._csv("metadata", (*head, "ViewCodeSequence_CodeMeaning"), self.metadata, packed)
        self._csv("split", ("dicom_id", "study_id", "subject_id", "split"), self.split, packed)
        if labels:
            self._csv(labels, ("subject_id", "study_id", *CONDITIONS), self.chexpert, packed)
        if zipped:
            with zipfile.ZipFile(self.root / "mimic-cxr-reports.zip", "w") as archive:
                for name, text in self.reports.items():
                    archive.writestr(name, text)
        else:
            for name, text in self.reports.items():
                (self.root / name).write_text(text, "utf-8")
        return self.root

    def _csv(self, kind, header, rows, packed):
        path = self.root / f"mimic-cxr-2.0.0-{kind}.csv{'.gz' if packed else ''}"
        with (gzip.open if packed else open)(path, "wt", newline="", encoding="utf-8") as handle:
            csv.writer(handle).writerows([header, *rows])


def chexpert_plus(root, patients):
    """A CheXpert Plus folder: one frontal and one lateral view a patient; the last has no findings."""
    rows = []
    for at in range(patients):
        base = f"train/patient{at}/study1"
        (root / "PNG" / base).mkdir(parents=True)
        Image.fromarray(np.full((9, 9), at, np.uint8)).save(root / "PNG" / base / "view1_frontal.png")
        findings = "" if at == patients - 1 else f"Pleural effusion\nnumber {at}."
        rows.append((f"{base}/view1_frontal.jpg", "Frontal", "AP", f"patient{at}", findings, "x", "train"))
        rows.append((f"{base}/view2_lateral.jpg", "Lateral", "", f"patient{at}", findings, "x", "train"))
    chexpert_plus_table(root, rows)


def chexpert_plus_table(root, rows):
    """The table alone."""
    head = ("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id")
    with (root / "df_chexpert_plus_240401.csv").open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([(*head, "section_findings", "section_impression", "split"), *rows])


def three_sources(root, mimic, chexpert, iu):
    """A root of mimic_chexpertplus with so many studies of each source (CheXpert Plus: one fewer, see above)."""
    for name in ("mimic_cxr", "chexpert_plus", "iu_xray"):
        (root / name).mkdir(parents=True)
    tree = Tree(root / "mimic_cxr")
    for at in range(mimic):
        tree.add(10000000 + at, 50000000 + at, ["PA"])
    tree.write()
    chexpert_plus(root / "chexpert_plus", chexpert)
    films = [f"{uid}_IM-1.dcm.png" for uid in range(1, iu + 1)]
    (root / "iu_xray" / "images").mkdir()
    for name in films:
        Image.fromarray(np.full((9, 9), 200, np.uint8)).save(root / "iu_xray" / "images" / name)
    reports = "uid,findings\n" + "".join(f"{uid},Clear lungs {uid}.\n" for uid in range(1, iu + 1))
    (root / "iu_xray" / "indiana_reports.csv").write_text(reports, "utf-8")
    views = "uid,filename,projection\n" + "".join(f"{uid},{name},Frontal\n" for uid, name in enumerate(films, 1))
    (root / "iu_xray" / "indiana_projections.csv").write_text(views, "utf-8")
    return root
