"""IU X-ray's three layouts give the same studies and films."""

from __future__ import annotations

import shutil
from pathlib import Path

from rendered import kaggle_root

from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.readers.iu_xray import IUXraySource
from fedmrg_core.data.splits import split_file


def test_every_layout_trains_on_the_same_studies_and_films(text: Path, openi: Path, tmp_path: Path, change) -> None:
    split = split_file.load("iu_xray/ci")
    ids = split_file.listed(split, split.draws[0]).ids()
    kaggle = kaggle_root(text, tmp_path / "kaggle", ids, 16)
    images = {
        study.study_id: kaggle / study.image
        for study in IUXraySource(kaggle, change(path="")).studies()
        if study.study_id in set(ids)
    }
    (openi / "NLMCXR_png").mkdir()
    r2gen = tmp_path / "r2gen"
    r2gen.mkdir()
    shutil.copy(text / "annotation.json", r2gen)
    for root in (openi, r2gen):
        for study in IUXraySource(root, change(path="")).studies():
            if study.study_id in images:
                (root / study.image).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(images[study.study_id], root / study.image)
    made = [
        prepare(change(path=str(root)), "iu_xray/ci", 0, 16, tmp_path / "cache", None, False)
        for root in (kaggle, openi, r2gen)
    ]
    assert list(made[0].study_ids) == list(made[1].study_ids) == ids
    assert (made[0].images(range(150)) == made[1].images(range(150))).all()
    assert made[0].reports == made[1].reports
    assert made[0].split_sha256 == made[1].split_sha256
    part = [ids.index(one) for one in made[2].study_ids]
    assert 120 < len(part) == 150 - made[2].left_out["split_studies_absent"]
    assert (made[2].images(range(len(part))) == made[0].images(part)).all()
