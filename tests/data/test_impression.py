"""`data.impression`: the impression follows the findings where the data has one; the studies stay the same."""

from __future__ import annotations

import json

import pytest
from trees import three_sources

from fedmrg_core.data.catalogue import open_data_set
from fedmrg_core.errors import DataError


def test_three_data_sets(tmp_path, change):
    root = three_sources(tmp_path / "data", mimic=2, chexpert=3, iu=2)
    reports = root / "iu_xray" / "indiana_reports.csv"
    reports.write_text("uid,findings,impression\n1,Clear lungs 1.,Normal.\n2,Clear lungs 2.,\n", "utf-8")
    plain, whole = (
        {study.study_id: study.report for study in open_data_set("mimic_chexpertplus", settings, 0).studies()}
        for settings in (change(path=str(root)), change(path=str(root), impression=True))
    )
    assert plain.keys() == whole.keys(), "a study without findings is left out either way"
    added = {name: whole[name].removeprefix(text).strip() for name, text in plain.items()}
    assert added == {
        "chexpert_plus:patient0/study1": "x",
        "chexpert_plus:patient1/study1": "x",
        "iu_xray:CXR1": "Normal.",
        "iu_xray:CXR2": "",
        "mimic_cxr:s50000000": "Cardiomegaly.",
        "mimic_cxr:s50000001": "Cardiomegaly.",
    }


def test_labels_are_of_the_whole_report(tmp_path, change):
    root = three_sources(tmp_path / "data", mimic=1, chexpert=2, iu=1) / "iu_xray"
    (root / "indiana_reports.csv").write_text("uid,findings,impression\n1,Clear.,Cardiomegaly.\n", "utf-8")
    labels = [
        open_data_set("iu_xray", change(path=str(root), impression=asked), 0).studies()[0].labels
        for asked in (False, True)
    ]
    assert labels[0] != labels[1]


def test_what_has_no_impressions_says_so(tmp_path, change):
    with pytest.raises(DataError, match=r"phantom has no impressions that are read; .*iu_xray.* have"):
        open_data_set("phantom", change(impression=True), 0)
    entry = {"id": "CXR7_IM-1", "report": "Clear lungs.", "image_path": ["CXR7_IM-1/0.png"]}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry], "val": [], "test": []}), "utf-8")
    with pytest.raises(DataError, match=r"R2Gen's annotation\.json has findings alone"):
        open_data_set("iu_xray", change(path=str(tmp_path), impression=True), 0).studies()
