"""Dividing and dealing: patients stay whole, shares are right, the result is a function of the seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmrg_core.data.splits.divide import assign_randomly, divide
from fedmrg_core.errors import DataError
from fedmrg_core.types import Study


def studies_of(patients: list[int], hospital: str = "a") -> list[Study]:
    """One patient per entry, with so many studies."""
    return [
        Study(f"{hospital}{who}-{at}", f"{hospital}{who}", "", "r", (0,) * 14, hospital)
        for who, count in enumerate(patients)
        for at in range(count)
    ]


@given(st.lists(st.integers(1, 5), min_size=10, max_size=60), st.integers(0, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_patients_stay_whole_and_shares_are_kept(patients, seed, unseen):
    studies = studies_of(patients)
    hospitals = ["a"] * len(studies)
    parts = divide(studies, hospitals, frozenset("a") if unseen else frozenset(), seed)
    where = {}
    for study, part in zip(studies, parts, strict=True):
        assert where.setdefault(study.patient_id, part) == part
    shares = (30, 10, 60) if unseen else (70, 10, 20)
    for part, share in zip(("train", "val", "test"), shares, strict=True):
        assert parts.count(part) >= 1
        assert abs(parts.count(part) - share * len(studies) / 100) <= 5
    assert parts == divide(studies, hospitals, frozenset("a") if unseen else frozenset(), seed)


def test_every_kind_of_patient_is_in_every_part():
    studies = studies_of([3] * 20 + [1] * 60)
    parts = divide(studies, ["a"] * len(studies), frozenset(), 0)
    large = Counter(part for study, part in zip(studies, parts, strict=True) if int(study.patient_id[1:]) < 20)
    assert large == {"train": 42, "val": 6, "test": 12}


def test_groups_share_a_part_across_hospitals():
    studies = studies_of([1] * 40, "a") + studies_of([1] * 40, "b")
    groups = [[at, at + 40] for at in range(0, 40, 2)] + [[0, 2, 4]]
    parts = divide(studies, [study.hospital for study in studies], frozenset("b"), 3, groups)
    for group in groups:
        assert len({parts[at] for at in group}) == 1


def test_too_few_patients_are_refused_by_name():
    with pytest.raises(DataError, match="hospital 'a' has too few patients"):
        divide(studies_of([6, 6]), ["a"] * 12, frozenset(), 0)


def test_dealing_keeps_sizes_and_patients_and_depends_on_the_seed():
    studies = studies_of([1, 2, 3] * 30)
    hospitals = assign_randomly(studies, {"h01": 3, "h02": 1}, 0)
    assert abs(hospitals.count("h01") - 135) <= 3
    assert len({(study.patient_id, home) for study, home in zip(studies, hospitals, strict=True)}) == 90
    assert hospitals != assign_randomly(studies, {"h01": 3, "h02": 1}, 1)
