"""`dedup=true`: near-duplicate reports stay in one part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import Tree

from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.mimic_cxr import MimicSource
from fedmrg_core.data.splits import split_file
from fedmrg_core.data.splits.duplicates import near_duplicate_groups, overlap
from fedmrg_core.errors import DataError

IU = ("iu_xray/group", "iu_xray/arbitrary", "iu_xray/dirichlet", "iu_xray/acquisition", "iu_xray/ci")


def test_dedup_keeps_twins_of_a_manifest_in_one_part(tmp_path: Path, change) -> None:
    for at in range(40):
        Image.fromarray(np.full((9, 9), at, np.uint8)).save(tmp_path / f"{at:02d}.png")
    reports = [f"Line {at // 4} lies here, and nothing else of note is seen today." for at in range(40)]
    rows = [f'{at:02d}.png,"{report}"' for at, report in enumerate(reports)]
    (tmp_path / "manifest.csv").write_text("image,report\n" + "\n".join(rows) + "\n", "utf-8")
    places = []
    for dedup in (False, True):
        data = change(path=str(tmp_path), deal=1, dedup=dedup)
        (hospital,) = prepare(data, "manifest", 0, 8, tmp_path / "cache", None, False).hospitals
        part = {int(row): name for name, rows in hospital.rows.items() for row in rows}
        places.append({(at // 4, part[at]) for at in range(40)})
    assert len(places[0]) > len(places[1]) == 10
    rows = [f"{row},{('train', 'val', 'test')[at % 3]}" for at, row in enumerate(rows)]
    (tmp_path / "manifest.csv").write_text("image,report,split\n" + "\n".join(rows) + "\n", "utf-8")
    with pytest.raises(DataError, match="dedup=true would move studies out of the parts that the data names"):
        prepare(data, "manifest", 0, 8, tmp_path / "cache", None, False)


def test_dedup_goes_before_official_parts(tmp_path: Path, change) -> None:
    tree = Tree(tmp_path)
    for at in range(400):
        part = ("train", "test")[at % 2]
        tree.add(
            10000000 + at,
            50000000 + at,
            ["PA"],
            report=f" FINDINGS: Line {at // 2 if at < 100 else at} lies here.",
            part=part,
        )
    source = MimicSource(tree.write(), change(path=str(tmp_path)))
    studies, recipe = source.studies(), split_file.load("mimic_cxr/arbitrary").recipe
    groups = near_duplicate_groups([study.report for study in studies])
    official, apart = (split_file.assign(recipe, studies, {}, 0, given) for given in (None, groups))
    part = {study.study_id: study.part for study in studies}
    for name, parts in official.hospitals.items():
        assert name in official.unseen or all(part[one] == key for key, ids in parts.items() for one in ids)
    assert overlap(official, studies, groups)["test_verbatim"] > 0
    assert overlap(apart, studies, groups)["test_near"] == 0
