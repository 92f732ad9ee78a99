"""CheXpert Plus on tables made here in its exact layout, with made-up reports and the real oddities."""

from __future__ import annotations

import pytest
from trees import chexpert_plus_table

from fedmrg_core.data import plan
from fedmrg_core.data.readers.chexpert_plus import ChexpertPlusSource
from fedmrg_core.errors import DataError

TEXT = "The heart is enlarged. There is no pleural effusion."


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


def test_one_name_in_two_parts_is_refused_and_a_film_without_view_is_counted(tmp_path, change):
    row = ("train/patient1/study1/view1_frontal.jpg", "Frontal", "AP", "p", "Clear lungs.", "", "train")
    chexpert_plus_table(tmp_path, [row, (row[0].replace("train", "valid"), *row[1:])])
    with pytest.raises(DataError, match="row 3: study patient1/study1 is in train above and in valid here"):
        ChexpertPlusSource(tmp_path, change(path=str(tmp_path))).studies()
    chexpert_plus_table(tmp_path, [row, ("train/patient2/study1/view1_x.jpg", "", *row[2:])])
    source = ChexpertPlusSource(tmp_path, change(path=str(tmp_path)))
    assert len(source.studies()) == 1
    assert source.left_out == {"view_unknown": 1, "labels_by_rules": 1}
