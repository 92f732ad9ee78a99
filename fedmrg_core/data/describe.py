"""How different the hospitals of a split are: each kind of difference as one number, beside a random deal's.

The measure is the generalised Jensen-Shannon divergence of the hospitals' distributions, in bits (Lin, IEEE Trans.
Inf. Theory 1991): what knowing the hospital tells of the thing measured. 0 = the same everywhere; the entropy of the
hospitals' sizes is the most it can be. Small samples differ by chance, so the same studies are also dealt at random
to hospitals of the same sizes; a larger difference is real.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.splits.assignment import Assignment
from fedmrg_core.seeding import generator
from fedmrg_core.types import CONDITIONS, LabelState, Study

DEALS = 20
MOST_STUDIES = 20_000
"""Of a larger split, so many studies are drawn at random, in proportion to the hospitals' sizes."""
WORDS = 1_000
"""The commonest words, each for itself; all others count as one."""
BINS = 10

Counts = NDArray[np.float64]
"""What is counted: one row per study, one column per outcome; a list of them where several variables are averaged."""


@dataclass(frozen=True)
class Measure:
    """value: of the split; random: mean over random deals; random_high: the largest of them. All in `unit`."""

    name: str
    unit: str
    value: float
    random: float
    random_high: float


@dataclass(frozen=True)
class SplitSample:
    """What is compared, by study: the hospital's number (-1: none), the report, label states [n, 14], and how to get
    films, uint8 [k, size, size], by row; None where there are none."""

    hospital: NDArray[np.int64]
    reports: Sequence[str]
    labels: NDArray[np.int8]
    films: Callable[[NDArray[np.int64]], NDArray[np.uint8]] | None


def sample_of_federation(federation: Federation) -> SplitSample:
    """A prepared federation, films and all."""
    hospital = np.full(len(federation), -1)
    for number, own in enumerate(federation.hospitals):
        for rows in own.rows.values():
            hospital[rows] = number
    return SplitSample(hospital, federation.reports, np.asarray(federation.labels), federation.images)


def sample_of_texts(studies: Sequence[Study], assignment: Assignment) -> SplitSample:
    """Studies whose films are not here."""
    number = {name: at for at, name in enumerate(assignment.hospitals)}
    hospital_of = assignment.hospital_of()
    hospital = np.array([number.get(hospital_of.get(study.study_id, ""), -1) for study in studies])
    labels = np.array([study.labels for study in studies], np.int8)
    return SplitSample(hospital, [study.report for study in studies], labels, None)


def describe(sample: SplitSample, seed: int = 0) -> list[Measure]:
    """The differences between hospitals, seen and unseen: label states (mean over the 14 conditions), words, style
    (words per report and per sentence), films (mean, contrast and sharpness of the grey values), sizes.
    Raises ValueError where there are fewer than two hospitals."""
    draw = generator(seed, 0, "describe")
    hospital = sample.hospital
    used = np.flatnonzero(hospital >= 0)
    sizes = np.bincount(hospital[used])
    if len(sizes) < 2:
        raise ValueError("one hospital: nothing to compare")
    if len(used) > MOST_STUDIES:
        used = np.sort(draw.choice(used, MOST_STUDIES, replace=False))
    reports = [sample.reports[int(row)] for row in used]
    kinds: list[tuple[str, list[Counts]]] = [
        ("labels", _labels(sample.labels[used])),
        ("words", [_words(reports)]),
        ("style", _style(reports)),
    ]
    if sample.films is not None:
        kinds.append(("films", _films(sample.films, used)))
    own = hospital[used]
    deals = [draw.permutation(own) for _ in range(DEALS)]
    found = []
    for name, variables in kinds:
        chance = [_divergence(variables, deal) for deal in deals]
        found.append(Measure(name, "bits", _divergence(variables, own), float(np.mean(chance)), max(chance)))
    chance = [_gini(draw.multinomial(sizes.sum(), np.full(len(sizes), 1 / len(sizes)))) for _ in range(DEALS)]
    return [*found, Measure("sizes", "Gini", _gini(sizes), float(np.mean(chance)), max(chance))]


def divergence(counts: Counts) -> float:
    """Generalised Jensen-Shannon divergence, bits, of the rows of counts [hospitals, outcomes], weighted by totals."""
    totals = counts.sum(axis=1)
    weights = totals / totals.sum()
    own = sum(w * _entropy(row) for w, row in zip(weights, counts, strict=True) if w > 0)
    return max(0.0, float(_entropy(counts.sum(axis=0)) - own))


def _entropy(counts: Counts) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log2(p)).sum())


def _divergence(variables: list[Counts], hospital: NDArray[np.int64]) -> float:
    """The mean over variables, each summed by hospital."""
    member = np.zeros((hospital.max() + 1, len(hospital)))
    member[hospital, np.arange(len(hospital))] = 1
    return float(np.mean([divergence(member @ counts) for counts in variables]))


def _gini(sizes: NDArray[np.int64]) -> float:
    """Gini's coefficient: 0 = all of a size."""
    ordered = np.sort(sizes)
    n = len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * ordered.sum()))


def _labels(labels: NDArray[np.int8]) -> list[Counts]:
    return [np.eye(len(LabelState))[labels[:, condition]] for condition in range(len(CONDITIONS))]


def _words(reports: list[str]) -> Counts:
    split = [re.findall(r"[^\W\d_]+", report.lower()) for report in reports]
    common = Counter(word for words in split for word in words).most_common(WORDS)
    column = {word: number for number, (word, _) in enumerate(common)}
    counts = np.zeros((len(reports), WORDS + 1))
    for row, words in enumerate(split):
        np.add.at(counts[row], [column.get(word, WORDS) for word in words], 1)
    return counts


def _style(reports: list[str]) -> list[Counts]:
    words = np.array([len(report.split()) for report in reports], np.float64)
    sentences = np.array([len(re.findall(r"[.:;\n]+", report)) or 1 for report in reports])
    return [_binned(words), _binned(words / sentences)]


def _films(films_of: Callable[[NDArray[np.int64]], NDArray[np.uint8]], rows: NDArray[np.int64]) -> list[Counts]:
    features: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
        "mean": lambda films: films.mean(axis=(1, 2)),
        "contrast": lambda films: films.std(axis=(1, 2)),
        "sharpness": lambda films: np.abs(np.diff(films, axis=2)).mean(axis=(1, 2)),
    }
    parts = [films_of(rows[at : at + 512]).astype(np.float32) for at in range(0, len(rows), 512)]
    return [_binned(np.concatenate([feature(part) for part in parts])) for feature in features.values()]


def _binned(values: NDArray[np.floating]) -> Counts:
    """One-hot of each value's decile."""
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.eye(BINS)[np.searchsorted(edges, values)]
