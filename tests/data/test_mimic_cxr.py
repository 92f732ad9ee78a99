"""MIMIC-CXR on trees built here in the exact layout, with made-up reports and the real oddities."""

from __future__ import annotations

import json

import pytest
from trees import Tree

from fedmrg_core.data import catalogue
from fedmrg_core.data.readers import mimic_cxr
from fedmrg_core.data.readers.mimic_cxr import MimicSource
from fedmrg_core.errors import DataError
from fedmrg_core.types import CONDITIONS

TEXT = "The heart is enlarged. There is no pleural effusion."


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "mimic").mkdir()
    return Tree(tmp_path / "mimic")


def read(root, change):
    source = MimicSource(root, change(path=str(root)))
    return source, {study.study_id: study for study in source.studies()}


@pytest.mark.parametrize(("zipped", "packed"), [(False, False), (True, True)])
def test_the_tree_and_its_oddities(tree, change, zipped, packed):
    tree.add(10000032, 50000001, ["LATERAL", "AP", "PA"], part="test")
    tree.add(10000032, 50000002, ["LL", "LATERAL"])
    tree.add(10000033, 50000003, ["AP"], report=None)
    tree.add(10000033, 50000004, ["AP"], report=" IMPRESSION: Normal.")
    tree.add(10000034, 50000005, [""], part="validate")
    tree.add(10000035, 50000006, ["PA"], part="")
    tree.add(10000036, 50000007, ["AP AXIAL", "LATERAL"])
    tree.add(10000036, 50000008, ["LATERAL", "NaN"])
    source, studies = read(tree.write(zipped, packed), change)
    assert sorted(studies) == ["s50000001", "s50000005"]
    first = studies["s50000001"]
    assert first.image == "files/p10/p10000032/s50000001/50000001-2.jpg"
    assert (first.patient_id, first.part) == ("p10000032", "test")
    assert first.report == TEXT
    assert first.labels == tuple((1, 2, 3, 0)[k % 4] for k in range(14))
    assert studies["s50000005"].part == "val"
    assert source.left_out == {
        "lateral_only": 1,
        "no_frontal_film": 1,
        "view_unknown": 1,
        "no_report": 1,
        "no_findings": 1,
        "no_split": 1,
        "several_frontal_films": 1,
    }
    assert source.metadata()["s50000001"]["rows"] == "2546"
    assert source.image(first, 20).max() == (50000001 + 2) % 256
    assert source.credentialed


def test_labels_fall_back_to_negbio_and_then_to_the_rules(tree, change):
    tree.add(10000032, 50000001, ["PA"])
    source, studies = read(tree.write(labels="negbio"), change)
    assert studies["s50000001"].labels[2] == 3
    (tree.root / "mimic-cxr-2.0.0-negbio.csv").unlink()
    source, studies = read(tree.root, change)
    assert source.left_out == {"labels_by_rules": 1}
    assert studies["s50000001"].labels[CONDITIONS.index("Cardiomegaly")] == 1


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("metadata", "subject_id", "subject", r"metadata.csv: no column 'subject_id'. Is it 'subject'\?"),
        ("metadata", "50000001,CHEST", "s5,CHEST", r"metadata.csv, row 2: 's5' is not a number of a study"),
        ("split", "train", "holdout", r"split.csv, row 2: split 'holdout' is none of"),
        ("chexpert", "-1.0", "2.0", r"chexpert.csv, row 2: .*label '2.0' is none of"),
    ],
)
def test_faults_name_file_and_row(tree, change, kind, old, new, message):
    tree.add(10000032, 50000001, ["PA"])
    path = tree.write() / f"mimic-cxr-2.0.0-{kind}.csv"
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(DataError, match=message):
        read(tree.root, change)


def test_an_annotation_may_lack_parts_but_not_all(tmp_path, change):
    entry = {"id": "d1", "study_id": 5, "subject_id": 1, "report": "clear lungs .", "image_path": ["d1.jpg"]}
    (tmp_path / "annotation.json").write_text(json.dumps({"test": [entry]}), "utf-8")
    assert read(tmp_path, change)[1]["s5"].part == "test"
    (tmp_path / "annotation.json").write_text(json.dumps({"all": [entry]}), "utf-8")
    with pytest.raises(DataError, match=r"annotation.json: is not R2Gen's annotation: it has none of train, val, test"):
        MimicSource(tmp_path, change(path=str(tmp_path)))._annotated()


def test_a_report_that_unpacks_to_gigabytes_is_refused(tree, change, monkeypatch):
    monkeypatch.setattr(mimic_cxr, "MAX_REPORT_BYTES", 1 << 20)
    tree.add(10000032, 50000001, ["PA"], report=" FINDINGS: " + "a" * (2 << 20))
    with pytest.raises(DataError, match=r"s50000001.txt: holds more than 1 MiB"):
        read(tree.write(zipped=True), change)


def test_r2gen_annotation(tmp_path, change):
    entry = {"id": "d1", "study_id": 5, "subject_id": 1, "report": "clear lungs .", "image_path": ["p1/p1/s5/d1.jpg"]}
    content = {"train": [entry, {**entry, "id": "d2"}], "val": [], "test": [{**entry, "study_id": 6, "report": " "}]}
    (tmp_path / "annotation.json").write_text(json.dumps(content), "utf-8")
    assert catalogue.detect(tmp_path) == "mimic_cxr"
    source, studies = read(tmp_path, change)
    assert studies["s5"].image == "images/p1/p1/s5/d1.jpg"
    assert source.left_out == {"several_frontal_films": 1, "no_findings": 1, "labels_by_rules": 1}
