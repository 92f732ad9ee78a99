"""Reports that occur in a data set more than once, word for word or nearly, and what that does to a split.

Nearly: the sets of three-word runs of two reports (lower case, letters and digits only) overlap by 80 % (Jaccard).
Pairs are found exactly, by prefix filtering (Chaudhuri et al., ICDE 2006): two sets that overlap so much share one of
their rarest elements.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.types import Study

NEAR = 80
"""Per cent of overlap from which two reports are near-duplicates."""


def shingles(report: str) -> frozenset[str]:
    """The report's runs of three words; of a shorter report all its words as one."""
    words = re.findall(r"[a-z0-9]+", report.lower())
    if len(words) < 3:
        return frozenset([" ".join(words)])
    return frozenset(" ".join(words[at : at + 3]) for at in range(len(words) - 2))


def near_duplicate_groups(reports: Sequence[str]) -> list[list[int]]:
    """Groups of positions (two or more each) linked by near-duplicate reports, directly or through others."""
    by_set: dict[frozenset[str], list[int]] = {}
    for at, report in enumerate(reports):
        by_set.setdefault(shingles(report), []).append(at)
    sets = list(by_set)
    parent = list(range(len(sets)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for one, other in _near_pairs(sets):
        parent[root(max(one, other))] = root(min(one, other))
    groups: dict[int, list[int]] = {}
    for at, members in enumerate(by_set.values()):
        groups.setdefault(root(at), []).extend(members)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _near_pairs(sets: Sequence[frozenset[str]]) -> list[tuple[int, int]]:
    """Pairs of different sets whose Jaccard overlap is NEAR per cent or more."""
    frequency = Counter(item for one in sets for item in one)
    index: dict[str, list[int]] = {}
    pairs: list[tuple[int, int]] = []
    for at in sorted(range(len(sets)), key=lambda one: len(sets[one])):
        own = sets[at]
        rare = sorted(own, key=lambda item: (frequency[item], item))[: len(own) - -(-NEAR * len(own) // 100) + 1]
        for other in sorted({candidate for item in rare for candidate in index.get(item, ())}):
            shared = len(own & sets[other])
            if 100 * shared >= NEAR * (len(own) + len(sets[other]) - shared):
                pairs.append((other, at))
        for item in rare:
            index.setdefault(item, []).append(at)
    return pairs


def overlap(assignment: Assignment, studies: Sequence[Study], groups: Sequence[Sequence[int]]) -> dict[str, int]:
    """How many test reports of seen hospitals have a twin in the training parts: `test`, `test_verbatim` and
    `test_near` (verbatim included) in any seen hospital's, `test_verbatim_own` in the own hospital's."""
    report = {study.study_id: " ".join(study.report.split()) for study in studies}
    group = {studies[at].study_id: number for number, members in enumerate(groups) for at in members}
    seen = {name: parts for name, parts in assignment.hospitals.items() if name not in assignment.unseen}
    trained = [study_id for parts in seen.values() for study_id in parts["train"]]
    texts = {report[study_id] for study_id in trained}
    numbers = {group[study_id] for study_id in trained if study_id in group}
    counts = dict.fromkeys(("test", "test_verbatim", "test_near", "test_verbatim_own"), 0)
    for parts in seen.values():
        own = {report[study_id] for study_id in parts["train"]}
        for study_id in parts["test"]:
            counts["test"] += 1
            counts["test_verbatim"] += report[study_id] in texts
            counts["test_near"] += report[study_id] in texts or group.get(study_id) in numbers
            counts["test_verbatim_own"] += report[study_id] in own
    return counts
