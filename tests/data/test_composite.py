"""Several data sets as one federation."""

from __future__ import annotations

from trees import three_sources

from fedmrg_core.data.cache.prepare import prepare

TEXT = "The heart is enlarged. There is no pleural effusion."


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
