"""A manifest as a data set: made-up ones with every fault, and the real films with notes."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.manifest import ManifestSource
from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.types import CONDITIONS

REPORTS = ("The heart is enlarged.", "No pneumothorax or pleural effusion.", "Possible pneumonia in the left base.")


@pytest.fixture
def folder(tmp_path):
    """A data root with 30 films, and a function that writes its manifest: rows are dicts, one per film."""
    root = tmp_path / "My Data"
    (root / "films").mkdir(parents=True)
    for at in range(30):
        Image.fromarray(np.full((20, 20), 8 * at, np.uint8)).save(root / "films" / f"{at:02d}.png")

    def write(change=None, columns=("image", "report"), encoding="utf-8", delimiter=","):
        rows = []
        for at in range(30):
            row = {"image": f"films/{at:02d}.png", "report": REPORTS[at % 3], "study": f"s{at:02d}"}
            row |= {"hospital": "A" if at < 15 else "B", "patient": f"p{at // 2}" if at < 15 else f"q{at}"}
            row |= {"split": ("train", "val", "test")[at // 2 % 3 if at < 15 else at % 3]}
            row |= {name: ("1", "0", "-1", "")[(at + k) % 4] for k, name in enumerate(CONDITIONS)}
            rows.append(row)
        if change:
            change(rows)
        with (root / "manifest.csv").open("w", encoding=encoding, newline="") as handle:
            writer = csv.writer(handle, delimiter=delimiter)
            writer.writerow(columns)
            writer.writerows([row[name] for name in columns] for row in rows)
        return root

    return write


def ready(data, tmp_path, clients=None):
    return prepare(data, "phantom/group", 0, 16, tmp_path / "cache", clients, False)


def sizes(federation):
    return {h.name: sum(len(rows) for rows in h.rows.values()) for h in federation.hospitals}


def test_two_columns_are_enough(folder, change, tmp_path):
    federation = ready(change(path=str(folder()), deal=2), tmp_path)
    assert federation.split == "manifest/my-data"
    assert sizes(federation) == {"h01": 15, "h02": 15}
    assert federation.study_ids[4] == "films/04.png"
    assert federation.left_out == {"labels_by_rules": 30}
    assert federation.labels[0][CONDITIONS.index("Cardiomegaly")] == 1
    assert federation.images([7]).mean() == 56
    assert sizes(ready(change(path=str(folder())), tmp_path, clients=3)) == {"h01": 10, "h02": 10, "h03": 10}
    with pytest.raises(DataError, match=r"hospital 'h01' has 8 studies .*small=merge"):
        ready(change(path=str(folder()), deal=4), tmp_path)


def test_hospitals_patients_parts_and_labels_come_from_the_columns(folder, change, tmp_path):
    columns = ("image", "report", "study", "patient", "hospital", "split", *CONDITIONS)
    federation = ready(change(path=str(folder(columns=columns)), unseen="B"), tmp_path)
    assert {h.name: h.seen for h in federation.hospitals} == {"a": True, "b": False}
    assert [federation.study_ids[row] for row in federation.hospitals[1].rows["val"]] == [
        "s16",
        "s19",
        "s22",
        "s25",
        "s28",
    ]
    assert federation.labels[0].tolist() == [(1, 2, 3, 0)[k % 4] for k in range(14)]
    assert "labels_by_rules" not in federation.left_out


def test_without_parts_a_patient_stays_in_one(folder, change, tmp_path):
    root = folder(columns=("image", "report", "patient", "hospital"))
    federation = ready(change(path=str(root)), tmp_path)
    place = {}
    for hospital in federation.hospitals:
        assert all(len(rows) for rows in hospital.rows.values())
        for part, rows in hospital.rows.items():
            for row in rows:
                assert place.setdefault(federation.patient_ids[row], (hospital.name, part)) == (hospital.name, part)


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8-sig", ","), ("utf-16", ","), ("cp1252", ";"), ("utf-8", "\t")]
)
def test_encodings_delimiters_and_newlines_in_quotes(folder, change, tmp_path, encoding, delimiter):
    def special(rows):
        rows[0]["report"] = 'Größe "normal";\nno effusion,\r\nnone.'

    federation = ready(change(path=str(folder(special, encoding=encoding, delimiter=delimiter)), deal=1), tmp_path)
    assert federation.reports[0] == 'Größe "normal";\nno effusion, none.'


FAULTS = {
    "empty_report": (3, "report", "  ", "the report is empty"),
    "no_image": (4, "image", "", "the image cell is empty"),
    "image": (5, "image", "films/none.png", "does not exist"),
    "duplicate": (6, "study", "s02", "study 's02' is in row 4 too"),
    "patient": (7, "patient", "q20", "patient 'q20' is at 'a' in row 9"),
    "split": (8, "split", "dev2", "split 'dev2' is none of"),
    "label": (9, "Edema", "2", "Edema: label '2' is none of 1, 0, -1 and blank"),
    "no_hospital": (10, "hospital", "", "the hospital cell is empty"),
    "no_patient": (11, "patient", "", "the patient cell is empty"),
    "no_study": (12, "study", "", "the study cell is empty"),
}
ALL = ("image", "report", "study", "patient", "hospital", "split", *CONDITIONS)


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault_names_its_row_and_is_counted_when_skipped(folder, change, tmp_path, reason):
    at, column, value, message = FAULTS[reason]

    def spoil(rows):
        rows[at][column] = value

    root = folder(spoil, columns=ALL)
    row = 22 if reason == "patient" else at + 2
    with pytest.raises(DataError) as error:
        ready(change(path=str(root)), tmp_path)
    assert str(error.value).startswith(f"manifest.csv, row {row}: ")
    assert message in str(error.value)
    notes = ready(change(path=str(root), on_bad="skip"), tmp_path).left_out
    assert notes == {f"bad_{reason}": 1}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Patient_ID", "patient"), ("hosptial", "hospital"), ("pleural effusion", "Pleural Effusion")],
)
def test_a_column_that_looks_like_a_known_one_is_not_passed_over(folder, change, tmp_path, written, meant):
    root = folder()
    lines = (root / "manifest.csv").read_text().splitlines()
    (root / "manifest.csv").write_text("\n".join([f"{lines[0]},{written}", *(f"{line},1" for line in lines[1:])]))
    with pytest.raises(DataError, match=f"row 1: column '{written}' is not known. Did you mean '{meant}'?"):
        ready(change(path=str(root)), tmp_path)
    lines[0] += ",finding,inpatient"
    (root / "manifest.csv").write_text("\n".join([lines[0], *(f"{line},1,1" for line in lines[1:])]))
    assert len(ready(change(path=str(root), deal=2), tmp_path)) == 30


def test_several_faults_are_all_named_in_one_line(folder, change, tmp_path):
    def spoil(rows):
        rows[3]["report"] = rows[9]["report"] = ""
        rows[5]["image"] = "../films/01.png"

    with pytest.raises(DataError) as error:
        ready(change(path=str(folder(spoil)), deal=1), tmp_path)
    assert str(error.value) == (
        "manifest.csv, row 5: the report is empty (and 2 more bad rows: 7 (image), 11 (empty_report)); "
        "on_bad=skip leaves bad rows out"
    )


def test_an_unreadable_film_names_its_row(folder, change, tmp_path):
    root = folder()
    (root / "films" / "07.png").write_bytes((root / "films" / "07.png").read_bytes()[:50])
    with pytest.raises(DataError, match=r"manifest.csv, row 9: image '07.png' cannot be read"):
        ready(change(path=str(root), deal=1), tmp_path)
    assert ready(change(path=str(root), deal=1, on_bad="skip"), tmp_path).left_out["bad_image"] == 1
    Image.fromarray(np.full((20, 20), 9, np.uint8)).save(root / "films" / "07.png")
    assert "bad_image" not in ready(change(path=str(root), deal=1), tmp_path).left_out


def test_faults_of_the_file_itself(folder, change, tmp_path):
    root = folder()
    manifest = root / "manifest.csv"
    for content, message in (
        (b"image,raport\na,b\n", r"manifest.csv: no column 'report'. Is it 'raport'\? Rename it."),
        (b"", "the file is empty"),
        (b'image,report\na,"b\n', "not a well-formed CSV file"),
        (b"image,report,report\na,b,c\n", "column 'report' exists twice"),
        (b"image,report\nfilms/01.png,b,c\n", "row 2: 3 cells, but the header has 2"),
        (b"image,report,Edema\nfilms/01.png,b,1\n", "1 of the 14 label columns exist, but not 'Enlarged"),
    ):
        manifest.write_bytes(content)
        with pytest.raises(DataError, match=message):
            ready(change(path=str(root)), tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        ready(change(path=str(root / "none")), tmp_path)


def test_unseen_names_are_checked(folder, change, tmp_path):
    root = folder(columns=("image", "report", "hospital"))
    with pytest.raises(ConfigError, match=r"unknown unseen hospital 'c'.*Allowed: a, b"):
        ready(change(path=str(root), unseen="C"), tmp_path)
    with pytest.raises(DataError, match="every hospital is unseen"):
        ready(change(path=str(root), unseen="a, b"), tmp_path)


def test_merge_puts_small_hospitals_together(folder, change, tmp_path):
    def five(rows):
        for at, row in enumerate(rows):
            row["hospital"] = f"Site {max(0, at // 5 - 1)}"

    root = folder(five, columns=("image", "report", "hospital"))
    federation = ready(change(path=str(root), small="merge"), tmp_path)
    assert sizes(federation) == {"merged": 20, "site-0": 10}
    assert federation.left_out["hospitals_merged"] == 4


def test_hospitals_that_look_alike_stay_apart_or_are_refused(folder, change, tmp_path):
    def clinics(rows):
        for at, row in enumerate(rows):
            row["hospital"] = f"Klinik {'ÄÖÜ'[at // 10]}"

    root = folder(clinics, columns=("image", "report", "hospital"))
    federation = ready(change(path=str(root), unseen="klinik Ü"), tmp_path)
    assert sorted(sizes(federation).values()) == [10, 10, 10]
    assert [h.name[:9] for h in federation.hospitals] == ["klinik-a-", "klinik-o-", "klinik-u-"]
    assert [h.seen for h in federation.hospitals] == [True, True, False]
    text = (root / "manifest.csv").read_text("utf-8")
    (root / "manifest.csv").write_text(text.replace("Klinik Ä", "Nord 1").replace("Klinik Ö", "Nord-1"), "utf-8")
    with pytest.raises(DataError, match=r"row 12: hospitals 'nord 1' and 'nord-1' would both be called 'nord-1'"):
        ready(change(path=str(root)), tmp_path)


def test_real_films_with_notes(notes_folder, change, tmp_path):
    real = notes_folder
    with pytest.raises(DataError, match=r"manifest.csv, row \d+: the report is empty \(and 103 more bad rows"):
        ready(change(path=str(real)), tmp_path)
    with pytest.raises(DataError, match="have under 10"):
        ready(change(path=str(real), on_bad="skip"), tmp_path)
    federation = ready(change(path=str(real), on_bad="skip", small="merge"), tmp_path)
    assert len(federation) == 249
    assert federation.left_out["bad_empty_report"] == 104
    assert federation.left_out["labels_by_rules"] == 249
    assert set(sizes(federation)) >= {"radiopaedia.org", "eurorad.org"}
    assert min(sizes(federation).values()) >= 10
    pixels = federation.images(range(249))
    assert pixels.std(axis=(1, 2)).min() > 5
    states = Counter(int(state) for state in np.asarray(federation.labels).ravel())
    assert states[1] > 150
    source = ManifestSource(real, change(path=str(real), on_bad="skip"))
    assert source.studies()[5].report == federation.reports[5]
