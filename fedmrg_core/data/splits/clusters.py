"""Clusters of patients for the `group` splits: yes/no features, distances that count differing features, and
hospitals of given, unequal sizes. Integers throughout, ties by id: the same bits on every machine.

Features of a report: which of the 96 words that split the collection best it uses (those found in nearest to half of
the reports, at most 60 %), its length and its sentences' (above the quartiles), and what its facts say (each value of a
named fact that 1 % of the studies have, counted `weight` times).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.source import Facts
from fedmrg_core.data.splits.divide import Unit, units_of
from fedmrg_core.seeding import derive_seed
from fedmrg_core.types import Study

WORDS = 96
STYLE_WEIGHT = 4
STEPS = 12


def cluster(
    studies: Sequence[Study], facts: Facts, weights: Mapping[str, int], fact_weights: Mapping[str, int], seed: int
) -> list[str]:
    """The hospital of each study. `weights`: hospital -> size (any scale); `fact_weights`: fact -> what it counts."""
    units = sorted(units_of(studies), key=lambda unit: studies[unit[0]].study_id)
    bits = features(studies, facts, fact_weights)
    own = np.stack([2 * bits[unit].sum(axis=0) > len(unit) for unit in units]).astype(np.int32)
    names = sorted(weights, key=lambda name: (-weights[name], name))
    capacity = _capacities(weights, names, len(studies))
    centres = _spread(own, len(names), derive_seed(seed, "group", len(units)) % len(units))
    for _ in range(STEPS):
        place = _fill(_distances(own, own[centres]), units, capacity)
        again = [_medoid(own, np.flatnonzero(place == at)) for at in range(len(names))]
        if again == centres:
            break
        centres = again
    homes = [""] * len(studies)
    for unit, at in zip(units, place.tolist(), strict=True):
        for study in unit:
            homes[study] = names[at]
    return homes


def features(studies: Sequence[Study], facts: Facts, fact_weights: Mapping[str, int]) -> NDArray[np.int32]:
    """0/1 per study and feature, [n, f]; a feature of weight w stands there w times."""
    words = [frozenset(re.findall(r"[a-z]+", study.report.lower())) for study in studies]
    columns = [[word in own for own in words] for word in _splitting_words(words)]
    lengths = [len(study.report.split()) for study in studies]
    sentences = [
        100 * length // max(1, study.report.count(".")) for length, study in zip(lengths, studies, strict=True)
    ]
    for values in (lengths, sentences):
        for quarter in (1, 2, 3):
            limit = sorted(values)[quarter * len(values) // 4]
            columns += [[value >= limit for value in values]] * STYLE_WEIGHT
    for name, weight in sorted(fact_weights.items()):
        stated = [frozenset(facts.get(study.study_id, {}).get(name, "").split(";")) for study in studies]
        common = Counter(value for own in stated for value in own)
        for value in sorted(value for value, count in common.items() if 100 * count >= len(studies)):
            columns += [[value in own for own in stated]] * weight
    return np.array(columns, np.int32).T


def _splitting_words(reports: Sequence[frozenset[str]]) -> list[str]:
    count = Counter(word for words in reports for word in words)
    usable = [word for word, n in count.items() if 100 * n <= 60 * len(reports)]
    return sorted(usable, key=lambda word: (abs(2 * count[word] - len(reports)), word))[:WORDS]


def _capacities(weights: Mapping[str, int], names: Sequence[str], studies: int) -> list[int]:
    """Studies that each hospital takes; the largest takes what rounding leaves."""
    total = sum(weights.values())
    sizes = [weights[name] * studies // total for name in names]
    return [sizes[0] + studies - sum(sizes), *sizes[1:]]


def _distances(own: NDArray[np.int32], centres: NDArray[np.int32]) -> NDArray[np.int64]:
    """Differing features, [units, centres]."""
    return np.stack([(own != centre).sum(axis=1) for centre in centres], axis=1)


def _spread(own: NDArray[np.int32], count: int, first: int) -> list[int]:
    """Centres far from one another: each next one is the unit farthest from its nearest centre (first by id)."""
    centres = [first]
    nearest = (own != own[first]).sum(axis=1)
    while len(centres) < count:
        centres.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, (own != own[centres[-1]]).sum(axis=1))
    return centres


def _fill(distances: NDArray[np.int64], units: Sequence[Unit], capacity: Sequence[int]) -> NDArray[np.int64]:
    """Each unit to a near centre that has room: units that lose most by their second choice come first."""
    ordered = np.sort(distances, axis=1)
    regret = ordered[:, 1] - ordered[:, 0] if distances.shape[1] > 1 else ordered[:, 0]
    room = list(capacity)
    place = np.zeros(len(units), np.int64)
    for at in np.lexsort((np.arange(len(units)), -regret)).tolist():
        choices = np.argsort(distances[at], kind="stable").tolist()
        best = next((one for one in choices if room[one] >= len(units[at])), int(np.argmax(room)))
        room[best] -= len(units[at])
        place[at] = best
    return place


def _medoid(own: NDArray[np.int32], members: NDArray[np.int64]) -> int:
    """The member nearest to the members' majority, the first by id."""
    majority = 2 * own[members].sum(axis=0) > len(members)
    return int(members[int(np.argmin((own[members] != majority).sum(axis=1)))])
