"""Dividing studies: into train, val and test inside each hospital, and dealing them into hospitals.

Everything is integer arithmetic over a seeded order, ties by id, so that a division is the same on every machine.
A group (the studies of a patient, or of patients whose reports are near-duplicates) is never taken apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedmrg_core.errors import DataError
from fedmrg_core.seeding import derive_seed
from fedmrg_core.types import PARTS, Study

SEEN_SHARES: Mapping[str, int] = {"train": 70, "val": 10, "test": 20}
"""Per cent of a seen hospital's studies."""

UNSEEN_SHARES: Mapping[str, int] = {"train": 30, "val": 10, "test": 60}
"""Per cent of an unseen hospital's studies; its train part serves adaptation only, never training."""

SMALLEST = 10
"""Studies below which a hospital is too small to be divided."""

Group = list[int]
"""Positions of the studies that stay together."""

Counts = dict[str, dict[str, int]]
"""Hospital -> part -> number of studies."""


def patient_groups(studies: Sequence[Study], linked: Sequence[Sequence[int]] = ()) -> list[Group]:
    """Units by patient, groups where a group (positions, such as near-duplicate reports) links patients."""
    first: dict[str, int] = {}
    parent = list(range(len(studies)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for at, study in enumerate(studies):
        parent[root(at)] = root(first.setdefault(study.patient_id, at))
    for group in linked:
        for at in group[1:]:
            parent[root(at)] = root(group[0])
    groups: dict[int, Group] = {}
    for at in range(len(studies)):
        groups.setdefault(root(at), []).append(at)
    return list(groups.values())


def seeded_order(studies: Sequence[Study], groups: Sequence[Group], seed: int, purpose: str) -> list[Group]:
    """Larger groups first, equal ones in a seeded order: large groups are spread, and single studies level out."""

    def key(group: Group) -> tuple[int, int, str]:
        name = min(studies[at].study_id for at in group)
        return -len(group), derive_seed(seed, purpose, name), name

    return sorted(groups, key=key)


def divide(
    studies: Sequence[Study], hospitals: Sequence[str], unseen: frozenset[str], seed: int, linked: Sequence[Group] = ()
) -> list[str]:
    """The part of each study. Groups come one after the other, each to the part that lags most behind its share.

    Raises DataError where a hospital has fewer than 3 groups: its three parts cannot all be filled.
    """
    names = sorted(set(hospitals))
    shares = {name: UNSEEN_SHARES if name in unseen else SEEN_SHARES for name in names}
    have = {name: dict.fromkeys(PARTS, 0) for name in names}
    parts = [""] * len(studies)
    groups = seeded_order(studies, patient_groups(studies, linked), seed, "divide")
    for group in groups:
        _assign(group, _lagging(group, hospitals, shares, have), parts, hospitals, have)
    _fill_empty(groups, parts, hospitals, have)
    return parts


def _lagging(
    group: Group, hospitals: Sequence[str], shares: Mapping[str, Mapping[str, int]], have: Mapping[str, dict[str, int]]
) -> str:
    """The part whose studies lag most behind its share of all assigned so far, this group included."""
    count: dict[str, int] = {}
    for at in group:
        count[hospitals[at]] = count.get(hospitals[at], 0) + 1
    lag = dict.fromkeys(PARTS, 0)
    for name, new in count.items():
        assigned = sum(have[name].values()) + new
        for part in PARTS:
            lag[part] += new * (shares[name][part] * assigned - 100 * have[name][part])
    return max(PARTS, key=lambda part: lag[part])


def _assign(group: Group, part: str, parts: list[str], hospitals: Sequence[str], have: Counts) -> None:
    for at in group:
        if parts[at]:
            have[hospitals[at]][parts[at]] -= 1
        parts[at] = part
        have[hospitals[at]][part] += 1


def _fill_empty(groups: Sequence[Group], parts: list[str], hospitals: Sequence[str], have: Counts) -> None:
    """Give every hospital a study in each part, taking the smallest group of its fullest part."""
    for name in sorted(have):
        for part in PARTS:
            if have[name][part]:
                continue
            donor = max(PARTS, key=lambda other: have[name][other])
            own = [group for group in groups if all(hospitals[at] == name and parts[at] == donor for at in group)]
            if len(own) < 2:
                raise DataError(f"hospital '{name}' has too few patients to fill train, val and test (needs 3 or more)")
            _assign(min(own, key=len), part, parts, hospitals, have)


def assign_randomly(studies: Sequence[Study], sizes: Mapping[str, int], seed: int, purpose: str = "deal") -> list[str]:
    """Assign studies at random, patient by patient, to hospitals of about the given sizes (weights; any scale)."""
    total, assigned = sum(sizes.values()), 0
    have = dict.fromkeys(sizes, 0)
    hospitals = [""] * len(studies)
    for group in seeded_order(studies, patient_groups(studies), seed, purpose):
        assigned += len(group)
        name = max(sizes, key=lambda one: sizes[one] * assigned - total * have[one])
        have[name] += len(group)
        for at in group:
            hospitals[at] = name
    return hospitals
