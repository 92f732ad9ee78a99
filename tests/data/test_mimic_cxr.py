"""MIMIC-CXR and CheXpert Plus on trees built here in the exact layout, with made-up reports and the real oddities."""

from __future__ import annotations

import json

import pytest
from trees import REPORT, Tree, chexpert_plus_table, three_sources

from fedmrg_core.data import catalogue, plan
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.chexpert_plus import ChexpertPlusSource
from fedmrg_core.data.readers.mimic_cxr import MimicSource
from fedmrg_core.data.readers.sections import sections
from fedmrg_core.data.splits import make, split_file
from fedmrg_core.errors import DataError
from fedmrg_core.types import CONDITIONS

TEXT = "The heart is enlarged. There is no pleural effusion."


@pytest.mark.parametrize(
    ("report", "findings"),
    [
        (REPORT, TEXT),
        (REPORT.replace("FINDINGS", "Findings"), TEXT),
        (
            REPORT.replace("FINDINGS:", "FINDINGS AND IMPRESSION:").rsplit("IMPRESSION:", 1)[0],
            TEXT,
        ),
        (
            REPORT.replace("FINDINGS:\n", "PA AND LATERAL VIEWS OF THE CHEST:"),
            TEXT,
        ),
        (REPORT.replace("FINDINGS:\n\n The heart is enlarged.  There is no\n pleural effusion.\n", ""), None),
        (
            " WET READ: ___ ___ ___ 9:00 PM\n  Findings are old.\n______________________\n" + REPORT,
            TEXT,
        ),
        (
            REPORT + "\n ADDENDUM  Discussed at 9:00 with the team.\n",
            TEXT,
        ),
        (" FINAL ADDENDUM\n Corrected side.\n" + REPORT, TEXT),
        (" FINDINGS: Note: tubes at 9:30 in place.\n", "Note: tubes at 9:30 in place."),
        ("No heading at all.", None),
        ("", None),
    ],
)
def test_findings_section(report, findings):
    assert sections(report).get("findings") == findings


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


def test_r2gen_annotation(tmp_path, change):
    entry = {"id": "d1", "study_id": 5, "subject_id": 1, "report": "clear lungs .", "image_path": ["p1/p1/s5/d1.jpg"]}
    content = {"train": [entry, {**entry, "id": "d2"}], "val": [], "test": [{**entry, "study_id": 6, "report": " "}]}
    (tmp_path / "annotation.json").write_text(json.dumps(content), "utf-8")
    assert catalogue.detect(tmp_path) == "mimic_cxr"
    source, studies = read(tmp_path, change)
    assert studies["s5"].image == "images/p1/p1/s5/d1.jpg"
    assert source.left_out == {"several_frontal_films": 1, "no_findings": 1, "labels_by_rules": 1}


def test_two_sources_and_iu_as_the_unseen_hospital(tmp_path, change, monkeypatch):
    root = three_sources(tmp_path / "all", 20, 13, 15)
    data = change(path=str(root))
    federation = prepare(data, "phantom/group", 0, 8, tmp_path / "cache", None, False)
    assert federation.split == "mimic_chexpertplus/iu_unseen"
    assert federation.credentialed
    assert {h.name: (h.seen, sum(map(len, h.rows.values()))) for h in federation.hospitals} == {
        "chexpert_plus": (True, 12),
        "iu_xray": (False, 15),
        "mimic_cxr": (True, 20),
    }
    row = int(federation.hospitals[1].rows["test"][0])
    assert (federation.images([row]) == 200).all()
    assert federation.left_out["chexpert_plus_no_findings"] == 1
    assert oct(federation.directory.stat().st_mode)[-3:] == "700"


def test_the_small_split_of_two_sources(tmp_path, change):
    data = change(path=str(three_sources(tmp_path / "all", 45, 46, 35)))
    federation = prepare(data, "mimic_chexpertplus/ci", 0, 8, tmp_path / "cache", None, False)
    assert {h.name: (h.seen, sum(map(len, h.rows.values()))) for h in federation.hospitals} == {
        "chexpert_plus": (True, 40),
        "iu_xray": (False, 30),
        "mimic_cxr": (True, 40),
    }


def test_chexpert_plus_oddities(tmp_path, change):
    path = "train/patient1/study{}/view{}_{}.jpg"
    rows = [
        (path.format(1, 1, "lateral"), "Lateral", "", "patient1", "Clear lungs.", "", "train"),
        (path.format(2, 1, "frontal"), "Frontal", "AP", "patient1", "Clear\n  lungs.", "", "train"),
        (path.format(2, 2, "frontal"), "Frontal", "PA", "patient1", "Clear\n  lungs.", "", "train"),
        (path.format(3, 1, "frontal"), "Frontal", "AP", "patient1", "nan", "Edema.", "train"),
        (f"CheXpert-v1.0/{path.format(4, 1, 'frontal')}", "Frontal", "", "patient1", "Edema.", "", "train"),
    ]
    (tmp_path / "PNG" / "PNG").mkdir(parents=True)
    chexpert_plus_table(tmp_path, rows)
    source = ChexpertPlusSource(tmp_path, change(path=str(tmp_path)))
    assert [(s.study_id, s.patient_id, s.image, s.report) for s in source.studies()] == [
        ("patient1/study2", "patient1", "PNG/PNG/train/patient1/study2/view2_frontal.png", "Clear lungs."),
        ("patient1/study4", "patient1", "PNG/PNG/train/patient1/study4/view1_frontal.png", "Edema."),
    ]
    assert source.left_out == {"lateral_only": 1, "no_findings": 1, "several_frontal_films": 1, "labels_by_rules": 2}
    with pytest.raises(DataError, match=r"df_chexpert_plus_240401.csv, row 4: image .* does not exist"):
        source.image(source.studies()[0], 8)
    assert plan.split_name("phantom/group", change(path=str(tmp_path))).startswith("chexpert_plus/")
    chexpert_plus_table(tmp_path, [("patient1/view1.jpg", *rows[0][1:])])
    with pytest.raises(DataError, match=r"row 2: path_to_image 'patient1/view1.jpg' is not train/patient1"):
        ChexpertPlusSource(tmp_path, change(path=str(tmp_path))).studies()


def test_the_first_holder_fills_a_recipe_in_without_ids(tree, change, tmp_path, monkeypatch):
    for at in range(240):
        tree.add(
            10000000 + at,
            50000000 + at,
            ["PA"],
            report=f" FINDINGS: Line {at} of {at}.",
            part=("train", "test")[at % 2],
        )
    data = change(path=str(tree.write()))
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "recipes.toml").write_text((split_file.SPLITS / "recipes.toml").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(plan, "SPLITS", tmp_path / "splits")
    for name in ("mimic_cxr/group", "mimic_cxr/ci"):
        open_source = lambda dataset, seed: catalogue.open_data_set(dataset, data, seed)  # noqa: E731
        made = make.make(name, open_source, tmp_path / "splits")
        path = split_file.save(made, tmp_path / "splits")
        assert made.draws[0].sha256
        assert made.draws[0].data_sha256 is None
        assert "s5000" not in path.read_text("utf-8")
        make.verify(split_file.load(name, tmp_path / "splits"), open_source)
    federation = prepare(data, "mimic_cxr/ci", 0, 8, tmp_path / "cache", None, False)
    assert [sum(map(len, h.rows.values())) for h in federation.hospitals] == [40, 40, 40, 30]
    for name in ("mimic_cxr/group", "mimic_cxr/arbitrary", "mimic_chexpertplus/iu_unseen"):
        committed = split_file.load(name)
        assert committed.status == "recipe-only"
        assert committed.draws[0].sha256 is None
        assert committed.draws[0].counts == {}
