"""IU X-ray in its three layouts, on the real text where it is present; films are rendered stand-ins."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from rendered import kaggle_root

from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.iu_xray import IUXraySource, layout_of
from fedmrg_core.data.splits import split_file
from fedmrg_core.errors import ConfigError, DataError

REPORTS = """uid,MeSH,Problems,findings,impression
1,normal,normal,"Heart size normal. XXXX clear.",Normal.
2,x,Opacity,,No change.
3,x,Opacity,"Left base opacity.
No effusion.",Opacity.
4,x,normal,Clear lungs.,Normal.
5,x,normal,Clear lungs.,Normal.
"""
PROJECTIONS = """uid,filename,projection
1,1_IM-0001-3001.dcm.png,Lateral
1,1_IM-0001-4001.dcm.png,Frontal
2,2_IM-1.dcm.png,Frontal
3,3_IM-1.dcm.png,Frontal
3,3_IM-2.dcm.png,Frontal
4,4_IM-1.dcm.png,Lateral
"""
XML = """<?xml version="1.0"?><eCitation><IUXRId id="{uid}"/><AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">Normal.</AbstractText>
<MeSH><major>Opacity/lung/base</major><major>Tube</major></MeSH></eCitation>"""


def source(root, change) -> IUXraySource:
    return IUXraySource(root, change(path=str(root)))


@pytest.fixture
def made(tmp_path):
    """A small made-up collection in Kaggle's layout."""
    (tmp_path / "indiana_reports.csv").write_text(REPORTS, "utf-8")
    (tmp_path / "indiana_projections.csv").write_text(PROJECTIONS, "utf-8")
    (tmp_path / "images").mkdir()
    return tmp_path


def test_kaggle_rules_and_their_counts(made, change):
    read = source(made, change)
    assert [(s.study_id, s.image, s.report) for s in read.studies()] == [
        ("CXR1", "images/1_IM-0001-4001.dcm.png", "Heart size normal. XXXX clear."),
        ("CXR3", "images/3_IM-1.dcm.png", "Left base opacity.\nNo effusion."),
    ]
    assert read.left_out == {
        "no_findings": 1,
        "no_frontal_film": 2,
        "reports_with_xxxx": 1,
        "several_frontal_films": 1,
        "with_lateral_view": 1,
        "frontal_view_only": 1,
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "indiana_reports.csv",
            "uid,MeSH",
            "udi,MeSH",
            r"indiana_reports.csv: no column 'uid'. Is it 'udi'",
        ),
        ("indiana_reports.csv", "3,x", "three,x", "indiana_reports.csv, row 4: uid 'three' is not a number"),
        ("indiana_reports.csv", "5,x", "3,x", "indiana_reports.csv, row 6: study 3 is listed twice"),
        (
            "indiana_projections.csv",
            "1,1_IM-0001-3001.dcm.png,Lateral",
            "1,a.png,PA",
            "row 2: projection 'PA' is neither",
        ),
    ],
)
def test_kaggle_faults_name_file_and_row(made, change, file, old, new, message):
    path = made / file
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(DataError, match=message):
        source(made, change).studies()


def test_openi_reads_the_same_studies(made, change):
    kaggle = source(made, change).studies()
    root = made / "openi"
    (root / "ecgen-radiology").mkdir(parents=True)
    (root / "NLMCXR_png").mkdir()
    for uid, findings in (
        ("1", "Heart size normal. XXXX clear."),
        ("2", ""),
        ("3", "Left base opacity.\nNo effusion."),
    ):
        (root / "ecgen-radiology" / f"{uid}.xml").write_text(XML.format(uid=uid, findings=findings), "utf-8")
    with pytest.raises(DataError, match=r"needs indiana_projections\.csv too"):
        source(root, change).studies()
    shutil.copy(made / "indiana_projections.csv", root)
    read = source(root, change)
    assert [(s.study_id, s.report, s.labels) for s in read.studies()] == [
        (s.study_id, s.report, s.labels) for s in kaggle
    ]
    assert read.studies()[0].image == "NLMCXR_png/CXR1_1_IM-0001-4001.png"
    assert read.metadata()["CXR3"]["problems"] == "Opacity;Tube"
    (root / "ecgen-radiology" / "9.xml").write_text("<eCitation>", "utf-8")
    with pytest.raises(DataError, match=r"ecgen-radiology/9.xml: is not well-formed XML"):
        source(root, change).studies()


def test_r2gen_takes_the_first_film(tmp_path, change):
    entry = {"id": "CXR7_IM-1", "report": "Clear  lungs.", "image_path": ["CXR7_IM-1/0.png", "CXR7_IM-1/1.png"]}
    path = tmp_path / "annotation.json"
    path.write_text(json.dumps({"train": [entry], "val": [], "test": []}), "utf-8")
    assert layout_of(tmp_path) == "r2gen"
    study = source(tmp_path, change).studies()[0]
    assert (study.study_id, study.image, study.report) == ("CXR7", "images/CXR7_IM-1/0.png", "Clear lungs.")
    path.write_text(json.dumps({"train": [entry, {"id": "CXR"}], "val": [], "test": []}), "utf-8")
    with pytest.raises(DataError, match=r"annotation.json, row 2: the entry needs an id"):
        source(tmp_path, change).studies()


@pytest.fixture(scope="module")
def rendered(text, tmp_path_factory):
    """A data root with the real text and films for the studies of iu_xray/ci."""
    ids = split_file.listed(split_file.load("iu_xray/ci"), split_file.load("iu_xray/ci").draws[0]).ids()
    return kaggle_root(text, tmp_path_factory.mktemp("iu") / "root", ids, 32)


def test_real_text_on_rendered_films(rendered, change, tmp_path):
    federation = prepare(change(path=str(rendered)), "iu_xray/ci", 0, 32, tmp_path, None, False)
    assert [(h.name, h.seen, sum(map(len, h.rows.values()))) for h in federation.hospitals] == [
        ("h01", True, 40),
        ("h02", True, 40),
        ("h03", True, 40),
        ("h06", False, 30),
    ]
    assert federation.left_out["not_in_split"] == 3199 - 150
    assert federation.left_out["no_findings"] == 514
    assert federation.images(range(150)).std(axis=(1, 2)).min() > 5
    assert federation.split_sha256 == split_file.load("iu_xray/ci").draws[0].sha256


def test_a_film_that_is_not_there_names_its_report(rendered, change, tmp_path):
    data = change(path=str(rendered))
    with pytest.raises(DataError, match=r"indiana_reports.csv, row \d+: image .* does not exist .*\d+ more films"):
        prepare(data, "iu_xray/group", 0, 8, tmp_path, None, False)
    with pytest.raises(ConfigError, match="split 'mimic_cxr/group' does not fit the data"):
        prepare(data, "mimic_cxr/group", 0, 8, tmp_path, None, False)


def test_committed_splits_are_their_recipes(text, change):
    root = text
    read = source(root, change)
    studies, metadata = read.studies(), read.metadata()
    for name in ("iu_xray/group", "iu_xray/arbitrary", "iu_xray/dirichlet", "iu_xray/acquisition", "iu_xray/ci"):
        split = split_file.load(name)
        again = split_file.assign(split.recipe, studies, metadata, split.draws[0].seed)
        split_file.compare(split, 0, again)
        assert again.sha256() == split.draws[0].sha256


def test_r2gen_users_get_the_part_that_they_have(text, tmp_path, change):
    shutil.copy(text / "annotation.json", tmp_path)
    read, split = source(tmp_path, change), split_file.load("iu_xray/group")
    whole = split_file.listed(split, split.draws[0])
    part = split_file.resolve(split, 0, read.studies(), {}, None, read.partial)
    assert len(whole.ids()) - len(part.ids()) == 252
    home = {one: (h, p) for h, parts in whole.hospitals.items() for p, ids in parts.items() for one in ids}
    assert all(home[one] == (h, p) for h, parts in part.hospitals.items() for p, ids in parts.items() for one in ids)
    assert part.sha256() != whole.sha256()


def test_dedup_leaves_no_twin_of_a_test_report_in_training(text, change):
    from fedmrg_core.data.splits.duplicates import near_duplicate_groups, overlap

    studies = source(text, change).studies()
    groups = near_duplicate_groups([study.report for study in studies])
    split = split_file.load("iu_xray/group")
    with_twins = overlap(split_file.resolve(split, 0, studies, {}), studies, groups)
    without = overlap(split_file.resolve(split, 0, studies, {}, groups), studies, groups)
    assert with_twins == split.draws[0].overlap
    assert with_twins["test_verbatim"] > 100
    assert (without["test_verbatim"], without["test_near"]) == (0, 0)
    assert abs(without["test"] - with_twins["test"]) <= 20
    assert np.isclose(without["test"], 0.2 * 2689, rtol=0.05)
