"""Recipes: which hospital each study of a split belongs to. Patients stay whole, ties and seeds decide, sizes hold."""

from __future__ import annotations

from collections import Counter

import pytest

from fedmrg_core.data.splits.recipes import assign_hospitals
from fedmrg_core.errors import DataError
from fedmrg_core.types import Study

STUDIES = [
    Study(f"s{at:03d}", f"p{at // 2:03d}", "", f"Report {at % 7} of many.", (0,) * 14, "ab"[at % 4 // 2])
    for at in range(240)
]
METADATA = {study.study_id: {"device": "XYZ"[int(study.patient_id[1:]) % 3]} for study in STUDIES}


def hospitals(recipe: str, seed: int = 0, **params: object) -> list[str]:
    return assign_hospitals(recipe, STUDIES, METADATA, params, seed)


def test_own_is_where_the_study_was_made_and_arbitrary_has_the_same_sizes() -> None:
    assert hospitals("own") == [study.hospital for study in STUDIES]
    dealt = hospitals("arbitrary")
    assert Counter(dealt) == Counter(hospitals("own"))
    assert dealt != hospitals("own")
    assert dealt == hospitals("arbitrary") != hospitals("arbitrary", seed=1)
    assert Counter(hospitals("arbitrary", weights={"x": 3, "y": 1})) == {"x": 180, "y": 60}


@pytest.mark.parametrize("recipe", ["arbitrary", "dirichlet", "by_metadata"])
def test_a_patient_is_in_one_hospital(recipe: str) -> None:
    weights = {"x": 1, "y": 1, "z": 1}
    params = {"weights": weights, "field": "device", "alpha": 30, "hospitals": {"x": ["X"]}, "rest": "y"}
    where: dict[str, str] = {}
    for study, hospital in zip(STUDIES, hospitals(recipe, **params), strict=True):
        assert where.setdefault(study.patient_id, hospital) == hospital


def test_by_metadata_maps_values_and_needs_the_field() -> None:
    found = hospitals("by_metadata", field="device", hospitals={"north": ["X", "Y"]}, rest="south")
    assert found == ["south" if METADATA[study.study_id]["device"] == "Z" else "north" for study in STUDIES]
    with pytest.raises(DataError, match="the data says nothing of 'scanner'"):
        hospitals("by_metadata", field="scanner", hospitals={}, rest="south")


def test_a_small_dirichlet_alpha_skews_more_than_a_large_one() -> None:
    def largest_share(alpha: int) -> float:
        found = hospitals("dirichlet", field="device", alpha=alpha, weights={"x": 1, "y": 1, "z": 1})
        of_x = [one for one, study in zip(found, STUDIES, strict=True) if METADATA[study.study_id]["device"] == "X"]
        return max(Counter(of_x).values()) / len(of_x)

    assert largest_share(10) > 0.6 > largest_share(100_000)


def test_sizes_take_whole_patients_and_leave_the_others_out() -> None:
    found = hospitals("own", sizes={"a": 20, "b": 11})
    assert Counter(found) == {"": 240 - 30, "a": 20, "b": 10}
    with pytest.raises(DataError, match="the data has no hospital 'c'"):
        hospitals("own", sizes={"c": 5})


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown split recipe 'arbitary'. Did you mean 'arbitrary'"):
        hospitals("arbitary")
