"""Every reader on damaged input: whatever the bytes are, it reads them or raises the project's own error, on one line,
with the file, and with the row where a row is at fault.

A small good data root of each kind is made once; an example damages one of its files, in one to three places.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_iu_xray import PROJECTIONS, REPORTS, XML
from trees import SETTINGS, Tree, chexpert_plus

from fedmrg_core.data.file_source import FileSource
from fedmrg_core.data.images import read_film
from fedmrg_core.data.readers import chexpert_plus as plus
from fedmrg_core.data.readers.chexpert_plus import ChexpertPlusSource
from fedmrg_core.data.readers.iu_xray import IUXraySource
from fedmrg_core.data.readers.manifest import ManifestSource
from fedmrg_core.data.readers.mimic_cxr import MimicSource
from fedmrg_core.data.source import metadata_of
from fedmrg_core.errors import DataError, FedMRGError

EXAMPLES = int(os.environ.get("FEDMRG_FUZZ", "25"))
"""Examples a reader; more of them: FEDMRG_FUZZ=3000."""

MOST_CELLS = 26
"""Cells of a file that each value is tried in: the header and some rows."""

VALUES = (
    b"", b"\0", b'"', b"\\ud800", b"\\u0000", b"null", b"{}", b"[]", b"1e999", b"-1", b"5.5", b"9" * 400, b"\xc2\xb2",
    b"nan", b"x" * 70_000, b"[" * 30_000, b'1.0" encoding="none', b"<!ENTITY a 'b'>", b"&a;", b"../../film.png",
    b"link.png", b"\x1b[31m", b"\xe2\x80\xa8", b"\xe9", b"\n",
)  # fmt: skip
"""What is put in the place of a cell."""

TOKENS = (
    *VALUES, b"\xef\xbb\xbf", b"\xff\xfe", b'"\n', b"\r", b",", b",,", b";", b"\t", b"\x1a", b"\xc3", b"/etc/hostname",
    b"C:\\films\\1.png", b"folder/film.png", b"0", b"\xd9\xa5", b"NaN", b"<a>" * 2_000, b'1.0" encoding="utf-7',
    b"=HYPERLINK(1)", b"\x1f\x8b\x08\x00", "Größe \U0001f600".encode(),
)  # fmt: skip
"""Bytes that are inserted anywhere."""

ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp037", "utf-7")


CELL = re.compile(rb'([,\n"<>:\[\]{}=]+ *)')
"""The separators of a table, the values of JSON, the texts and attributes of XML."""


def cells(raw: bytes) -> int:
    return len(CELL.split(raw)) // 2 + 1


def swapped(raw: bytes, cell: int, value: bytes) -> bytes:
    parts = CELL.split(raw)
    parts[2 * cell] = value
    return b"".join(parts)


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """One way to spoil a file's bytes, wherever it is done."""
    kind = draw(st.sampled_from(("cell",) * 6 + ("put", "swap", "cut", "drop", "again", "encode", "gzip", "any")))
    at, span = draw(st.floats(0, 1)), draw(st.integers(1, 60))
    token = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=30)))
    encoding = draw(st.sampled_from(ENCODINGS))

    def spoil(raw: bytes) -> bytes:
        place = int(at * len(raw))
        lines = raw.split(b"\n")
        line = int(at * (len(lines) - 1))
        if kind == "put":
            return raw[:place] + token + raw[place:]
        if kind == "swap":
            return raw[:place] + token + raw[place + span :]
        if kind == "cut":
            return raw[:place]
        if kind == "drop":
            return raw[:place] + raw[place + span :]
        if kind == "again":
            return b"\n".join([*lines[: line + 1], *lines[line:]])
        if kind == "cell":
            return swapped(raw, int(at * (cells(raw) - 1)), token)
        if kind == "encode":
            return raw.decode("utf-8", "replace").encode(encoding, "replace")
        return gzip.compress(raw)[: max(1, place)] if kind == "gzip" else token

    return spoil


def manifest(root: Path) -> None:
    films(root, ["a.png", "b.png", "c.png"])
    rows = (
        'image,report,patient,hospital,split\na.png,Clear lungs.,p1,h,train\nb.png,"No ""large"" effusion,\nnone.",p2'
    )
    (root / "manifest.csv").write_text(f"{rows},h,val\nc.png,Edema.,p3,h,test\n", "utf-8")


def films(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.full((9, 9), 90, np.uint8)).save(folder / name)
    os.symlink(folder / names[0], folder / "link.png")
    os.symlink(folder, folder / "folder")


def kaggle(root: Path) -> None:
    films(root / "images", ["1_IM-0001-4001.dcm.png", "3_IM-1.dcm.png"])
    (root / "indiana_reports.csv").write_text(REPORTS, "utf-8")
    (root / "indiana_projections.csv").write_text(PROJECTIONS, "utf-8")
    (root / "acquisition.csv").write_text("uid,private_creator,plate_type\n1,AGFA,code39\n3,,\n", "utf-8")


def openi(root: Path) -> None:
    films(root / "NLMCXR_png", ["CXR1_1_IM-0001-4001.png"])
    (root / "ecgen-radiology").mkdir()
    for uid in (1, 3):
        (root / "ecgen-radiology" / f"{uid}.xml").write_text(XML.format(uid=uid, findings="Clear lungs."), "utf-8")
    (root / "indiana_projections.csv").write_text(PROJECTIONS, "utf-8")


def r2gen(root: Path) -> None:
    films(root / "images" / "CXR7_IM-1", ["0.png"])
    entry = {"id": "CXR7_IM-1", "report": "Clear lungs.", "image_path": ["CXR7_IM-1/0.png", "CXR7_IM-1/1.png"]}
    other = {"id": "CXR8_IM-1", "report": "Edema.", "image_path": ["CXR7_IM-1/0.png"]}
    (root / "annotation.json").write_text(json.dumps({"train": [entry], "val": [other], "test": []}), "utf-8")


def mimic(root: Path, zipped: bool = False) -> None:
    tree = Tree(root)
    tree.add(10000032, 50000001, ["LATERAL", "AP", "PA"], part="test")
    tree.add(10000033, 50000002, ["PA"], part="validate")
    tree.write(zipped)


def mimic_zipped(root: Path) -> None:
    mimic(root, zipped=True)


def mimic_r2gen(root: Path) -> None:
    films(root / "images", ["d.jpg"])
    entry = {"id": "d", "study_id": 5, "subject_id": 1, "report": "clear lungs .", "image_path": ["d.jpg"]}
    content = {"train": [entry, {**entry, "study_id": 6}], "val": [], "test": []}
    (root / "annotation.json").write_text(json.dumps(content), "utf-8")


def chexpert(root: Path) -> None:
    chexpert_plus(root, 3)


PREFIX = "mimic-cxr-2.0.0-"
REPORT = "files/p10/p10000032/s50000001.txt"
READERS: dict[str, tuple[type[FileSource], Callable[[Path], None], tuple[str, ...]]] = {
    "manifest": (ManifestSource, manifest, ("manifest.csv",)),
    "kaggle": (IUXraySource, kaggle, ("indiana_reports.csv", "indiana_projections.csv", "acquisition.csv")),
    "openi": (IUXraySource, openi, ("ecgen-radiology/1.xml", "indiana_projections.csv")),
    "r2gen": (IUXraySource, r2gen, ("annotation.json",)),
    "mimic": (MimicSource, mimic, (*(f"{PREFIX}{one}.csv" for one in ("metadata", "split", "chexpert")), REPORT)),
    "mimic_zipped": (MimicSource, mimic_zipped, ("mimic-cxr-reports.zip",)),
    "mimic_r2gen": (MimicSource, mimic_r2gen, ("annotation.json",)),
    "chexpert_plus": (ChexpertPlusSource, chexpert, (plus.TABLE,)),
}
"""Layout -> reader, what makes a good root, and the files that are damaged."""


@pytest.fixture(scope="module", params=READERS)
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp("fuzz") / "root"
    root.mkdir()
    READERS[request.param][1](root)
    return request.param, root


def read(kind: type[FileSource], root: Path, on_bad: str) -> int:
    """All that a run asks of a source; the number of studies."""
    source = kind(root, replace(SETTINGS, path=str(root), on_bad=on_bad))
    studies = source.studies()
    metadata_of(source)
    source.fingerprint()
    assert len({study.study_id for study in studies}) == len(studies)
    for study in studies:
        assert study.report.strip()
        assert len(study.labels) == 14
        study.report.encode()
        try:
            source.image(study, 8)
        except DataError as error:
            check(error, root, row=True)
    return len(studies)


def check(error: DataError, root: Path, row: bool = False) -> None:
    said = str(error)
    assert said.isprintable(), said
    assert len(said) < 1500, said
    assert error.file or str(root) in said, said
    assert error.row is None or error.row >= 1
    assert not row or error.row or error.file.endswith(".xml"), said


def test_the_undamaged_roots_are_read(good: tuple[str, Path]) -> None:
    assert read(READERS[good[0]][0], good[1], "stop") >= 1


def attempt(kind: type[FileSource], root: Path, file: str, spoilt: bytes, on_bad: str) -> None:
    """Read the root with one file spoilt, then mend it."""
    path = root / file
    raw = path.read_bytes()
    path.write_bytes(spoilt)
    try:
        read(kind, root, on_bad)
    except DataError as error:
        check(error, root)
    finally:
        path.write_bytes(raw)


def test_any_value_in_the_place_of_any_cell(good: tuple[str, Path]) -> None:
    kind, _, files = READERS[good[0]]
    for file in files:
        raw = (good[1] / file).read_bytes()
        for cell in range(min(cells(raw), MOST_CELLS) if file.endswith((".csv", ".json", ".xml")) else 0):
            for value in VALUES:
                attempt(kind, good[1], file, swapped(raw, cell, value), "stop")


@given(which=st.integers(0, 3), ways=st.lists(damage(), min_size=1, max_size=3), skip=st.booleans())
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_raise_nothing_but_the_projects_own_error(good, which, ways, skip):
    kind, _, files = READERS[good[0]]
    file = files[which % len(files)]
    spoilt = (good[1] / file).read_bytes()
    for way in ways:
        spoilt = way(spoilt)
    attempt(kind, good[1], file, spoilt, "skip" if skip else "stop")


@given(ways=st.lists(damage(), min_size=1, max_size=3), form=st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP"]))
@settings(
    max_examples=2 * EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.filterwarnings("ignore")  # of Pillow, about what it makes of damaged metadata
def test_damaged_films_are_read_or_refused(tmp_path, ways, form):
    path = tmp_path / "film"
    Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32)).save(path, form)
    raw = path.read_bytes()
    for way in ways:
        raw = way(raw)
    path.write_bytes(raw)
    try:
        film = read_film(path, 16)
    except DataError as error:
        check(DataError(str(error), "film"), tmp_path)
    else:
        assert (film.shape, film.dtype) == ((16, 16), np.uint8)


@pytest.mark.parametrize("name", ["../films/a.png", "/etc/hostname", "link.png", "folder/a.png", "a\0.png", "x" * 5000])
def test_no_reader_follows_a_path_out_of_its_root(tmp_path: Path, name: str) -> None:
    for number, (kind, make, files) in enumerate((READERS["manifest"], READERS["r2gen"])):
        root = tmp_path / str(number)
        root.mkdir()
        make(root)
        path, old = root / files[0], "a.png" if number == 0 else "CXR7_IM-1/0.png"
        inner = name if number == 0 else json.dumps(f"CXR7_IM-1/{name}" if name[0] in "lf" else name)[1:-1]
        path.write_text(path.read_text("utf-8").replace(old, inner), "utf-8")
        source = kind(root, replace(SETTINGS, path=str(root)))
        with pytest.raises(FedMRGError, match=r"(manifest.csv, row 2|annotation.json, row 1): (the )?image"):
            source.image(source.studies()[0], 8)


def test_a_folder_in_the_place_of_a_file_is_refused(good: tuple[str, Path], tmp_path: Path) -> None:
    kind, _, files = READERS[good[0]]
    for file in files:
        root = tmp_path / str(abs(hash(file)))
        shutil.copytree(good[1], root, symlinks=True)
        (root / file).unlink()
        (root / file).mkdir()
        try:
            read(kind, root, "stop")
        except DataError as error:
            check(error, root)


def test_a_zip_with_a_damaged_member_names_the_report(tmp_path: Path) -> None:
    mimic_zipped(tmp_path)
    path = tmp_path / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(REPORT).header_offset + 30 + len(REPORT) + 40
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DataError, match=f"{REPORT}: report cannot be read"):
        read(MimicSource, tmp_path, "stop")
