"""Clusters of patients: sizes by weight, patients whole, like reports together, the same for every order of studies."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fedmrg_core.data.splits.clusters import cluster, features
from fedmrg_core.types import Study

STYLES = ("Heart normal. Lungs clear. No effusion.", "The cardiac silhouette appears unremarkable in size today.")
STUDIES = [Study(f"s{at:03d}", f"p{at // 2:03d}", "", STYLES[at % 4 // 2], (0,) * 14, "") for at in range(120)]


def test_like_reports_share_a_hospital_of_the_given_size() -> None:
    found = cluster(STUDIES, {}, {"x": 1, "y": 1}, {}, 0)
    assert Counter(found) == {"x": 60, "y": 60}
    styles = {(study.report, hospital) for study, hospital in zip(STUDIES, found, strict=True)}
    assert len(styles) == 2
    assert all(found[at] == found[at + 1] for at in range(0, 120, 2))


def test_sizes_follow_the_weights_whatever_the_reports_say() -> None:
    assert Counter(cluster(STUDIES, {}, {"x": 3, "y": 2, "z": 1}, {}, 0)) == {"x": 60, "y": 40, "z": 20}


def test_the_order_of_studies_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(STUDIES)).tolist()
    shuffled = cluster([STUDIES[at] for at in order], {}, {"x": 2, "y": 1}, {}, 0)
    straight = cluster(STUDIES, {}, {"x": 2, "y": 1}, {}, 0)
    assert [straight[at] for at in order] == shuffled


def test_a_common_value_of_a_field_is_a_feature_as_often_as_its_weight() -> None:
    metadata = {study.study_id: {"device": "X" if at < 60 else "Y"} for at, study in enumerate(STUDIES)}
    metadata["s000"] = {"device": "rare"}
    bare, told = features(STUDIES, {}, {}), features(STUDIES, metadata, {"device": 5})
    assert told.shape[1] - bare.shape[1] == 2 * 5
    assert (told[1:60, -10:-5] == 1).all()
    assert (told[60:, -10:-5] == 0).all()
