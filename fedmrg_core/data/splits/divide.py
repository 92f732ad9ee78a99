"""Dividing studies: into train, val and test inside each hospital, and dealing them into hospitals.

Everything is integer arithmetic over a seeded order, ties by id, so that a division is the same on every machine.
A unit (a patient, or a group of patients whose reports are near-duplicates) is never taken apart.
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

Unit = list[int]
"""Positions of the studies that stay together."""


def units_of(studies: Sequence[Study], groups: Sequence[Sequence[int]] = ()) -> list[Unit]:
    """Units by patient, joined where a group (positions, such as near-duplicate reports) links patients."""
    first: dict[str, int] = {}
    parent = list(range(len(studies)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for at, study in enumerate(studies):
        parent[root(at)] = root(first.setdefault(study.patient_id, at))
    for group in groups:
        for at in group[1:]:
            parent[root(at)] = root(group[0])
    units: dict[int, Unit] = {}
    for at in range(len(studies)):
        units.setdefault(root(at), []).append(at)
    return list(units.values())


def seeded_order(studies: Sequence[Study], units: Sequence[Unit], seed: int, purpose: str) -> list[Unit]:
    """Larger units first, equal ones in a seeded order: every kind of unit is spread, and the single ones level out."""

    def key(unit: Unit) -> tuple[int, int, str]:
        name = min(studies[at].study_id for at in unit)
        return -len(unit), derive_seed(seed, purpose, name), name

    return sorted(units, key=key)


def divide(
    studies: Sequence[Study], homes: Sequence[str], unseen: frozenset[str], seed: int, groups: Sequence[Unit] = ()
) -> list[str]:
    """The part of each study. Units come one after the other, each to the part that lags most behind its share.

    Raises DataError where a hospital has fewer than 3 units, so that its three parts cannot all be filled.
    """
    names = sorted(set(homes))
    shares = {name: UNSEEN_SHARES if name in unseen else SEEN_SHARES for name in names}
    have = {name: dict.fromkeys(PARTS, 0) for name in names}
    parts = [""] * len(studies)
    units = seeded_order(studies, units_of(studies, groups), seed, "divide")
    for unit in units:
        _place(unit, _lagging(unit, homes, shares, have), parts, homes, have)
    _fill_empty(units, parts, homes, have)
    return parts


def _lagging(
    unit: Unit, homes: Sequence[str], shares: Mapping[str, Mapping[str, int]], have: Mapping[str, Mapping[str, int]]
) -> str:
    """The part whose studies lag most behind its share of all placed so far, this unit included."""
    count: dict[str, int] = {}
    for at in unit:
        count[homes[at]] = count.get(homes[at], 0) + 1
    lag = dict.fromkeys(PARTS, 0)
    for name, new in count.items():
        placed = sum(have[name].values()) + new
        for part in PARTS:
            lag[part] += new * (shares[name][part] * placed - 100 * have[name][part])
    return max(PARTS, key=lambda part: lag[part])


def _place(unit: Unit, part: str, parts: list[str], homes: Sequence[str], have: dict[str, dict[str, int]]) -> None:
    for at in unit:
        if parts[at]:
            have[homes[at]][parts[at]] -= 1
        parts[at] = part
        have[homes[at]][part] += 1


def _fill_empty(units: Sequence[Unit], parts: list[str], homes: Sequence[str], have: dict[str, dict[str, int]]) -> None:
    """Give every hospital a study in each part, taking the smallest unit of its fullest part."""
    for name in sorted(have):
        for part in PARTS:
            if have[name][part]:
                continue
            donor = max(PARTS, key=lambda other: have[name][other])
            own = [unit for unit in units if all(homes[at] == name and parts[at] == donor for at in unit)]
            if len(own) < 2:
                raise DataError(f"hospital '{name}' has too few patients to fill train, val and test (needs 3 or more)")
            _place(min(own, key=len), part, parts, homes, have)


def deal(studies: Sequence[Study], sizes: Mapping[str, int], seed: int, purpose: str = "deal") -> list[str]:
    """Deal studies at random, patient by patient, into hospitals of about the given sizes (weights; any scale)."""
    total, placed = sum(sizes.values()), 0
    have = dict.fromkeys(sizes, 0)
    homes = [""] * len(studies)
    for unit in seeded_order(studies, units_of(studies), seed, purpose):
        placed += len(unit)
        name = max(sizes, key=lambda one: sizes[one] * placed - total * have[one])
        have[name] += len(unit)
        for at in unit:
            homes[at] = name
    return homes
