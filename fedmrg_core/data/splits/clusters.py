"""Clusters of patients for the `group` splits: yes/no features, distances that count differing features, and
hospitals of given, unequal sizes. Integers throughout, ties by id: the same bits on every machine.

Features of a report: which of the 96 words that split the collection best it uses (those found in nearest to half of
the reports, at most 60 %), its length and its sentences' (above the quartiles), and what its metadata say (each value
of a named field that 1 % of the studies have, counted `weight` times).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.source import Metadata
from fedmrg_core.data.splits.divide import Group, patient_groups
from fedmrg_core.seeding import derive_seed
from fedmrg_core.types import Study

WORDS = 96
STYLE_WEIGHT = 4
STEPS = 12


def cluster(
    studies: Sequence[Study], metadata: Metadata, weights: Mapping[str, int], fields: Mapping[str, int], seed: int
) -> list[str]:
    """The hospital of each study. `weights`: hospital -> size (any scale); `fields`: metadata field -> its weight."""
    groups = sorted(patient_groups(studies), key=lambda group: studies[group[0]].study_id)
    bits = features(studies, metadata, fields)
    own = np.stack([2 * bits[group].sum(axis=0) > len(group) for group in groups]).astype(np.int32)
    names = sorted(weights, key=lambda name: (-weights[name], name))
    capacity = _capacities(weights, names, len(studies))
    centres = _spread(own, len(names), derive_seed(seed, "group", len(groups)) % len(groups))
    for _ in range(STEPS):
        cluster_of = _fill(_distances(own, own[centres]), groups, capacity)
        again = [_medoid(own, np.flatnonzero(cluster_of == at), centre) for at, centre in enumerate(centres)]
        if again == centres:
            break
        centres = again
    hospitals = [""] * len(studies)
    for group, at in zip(groups, cluster_of.tolist(), strict=True):
        for study in group:
            hospitals[study] = names[at]
    return hospitals


def features(studies: Sequence[Study], metadata: Metadata, fields: Mapping[str, int]) -> NDArray[np.int32]:
    """0/1 per study and feature, [n, f]; a feature of weight w has w columns."""
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
    for name, weight in sorted(fields.items()):
        stated = [frozenset(metadata.get(study.study_id, {}).get(name, "").split(";")) for study in studies]
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
    """Differing features, [groups, centres]."""
    return np.stack([(own != centre).sum(axis=1) for centre in centres], axis=1)


def _spread(own: NDArray[np.int32], count: int, first: int) -> list[int]:
    """Centres far from one another: each next one is the group farthest from its nearest centre (first by id)."""
    centres = [first]
    nearest = (own != own[first]).sum(axis=1)
    while len(centres) < count:
        centres.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, (own != own[centres[-1]]).sum(axis=1))
    return centres


def _fill(distances: NDArray[np.int64], groups: Sequence[Group], capacity: Sequence[int]) -> NDArray[np.int64]:
    """Each group to a near centre that has room: groups that lose most by their second choice come first."""
    ordered = np.sort(distances, axis=1)
    regret = ordered[:, 1] - ordered[:, 0] if distances.shape[1] > 1 else ordered[:, 0]
    room = list(capacity)
    cluster_of = np.zeros(len(groups), np.int64)
    for at in np.lexsort((np.arange(len(groups)), -regret)).tolist():
        choices = np.argsort(distances[at], kind="stable").tolist()
        best = next((one for one in choices if room[one] >= len(groups[at])), int(np.argmax(room)))
        room[best] -= len(groups[at])
        cluster_of[at] = best
    return cluster_of


def _medoid(own: NDArray[np.int32], members: NDArray[np.int64], centre: int) -> int:
    """The member nearest to the members' majority, the first by id; a cluster without members keeps its centre."""
    if not members.size:
        return centre
    majority = 2 * own[members].sum(axis=0) > len(members)
    return int(members[int(np.argmin((own[members] != majority).sum(axis=1)))])
