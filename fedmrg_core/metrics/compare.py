"""Are two algorithms different? Means over seeds, paired tests on the same studies, Holm's correction.

    seed_interval([.412, .398, .421])                       # SeedMean(mean, low, high, n)
    p = paired_permutation(first, second, patients, generator(0, "test"))
    holm({"a against b": .01, "a against c": .04})          # adjusted p values
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedmrg_core.metrics.stats import Combine, Floats, bootstrap_weights

_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
"""97.5 % points of Student's t with 1, 2, .. 15 degrees of freedom (any table); beyond it the normal's, corrected."""


@dataclass(frozen=True)
class SeedMean:
    """The mean of a score over n seeds with its 95 % t interval (equal to the mean for one seed)."""

    mean: float
    low: float
    high: float
    n: int


def seed_interval(values: Sequence[float]) -> SeedMean:
    """Mean over seeds with a Student t interval: the spread that a rerun with other seeds would show.

    Raises:
        ValueError: no value.
    """
    if not len(values):
        raise ValueError("no value to average")
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return SeedMean(mean, mean, mean, 1)
    quantile = _T975[n - 2] if n - 2 < len(_T975) else 1.960 + 2.5 / (n - 1)
    half = quantile * float(np.std(values, ddof=1)) / math.sqrt(n)
    return SeedMean(mean, mean - half, mean + half, n)


def _clusters(patients: Sequence[str]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], int]:
    _, cluster = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    return cluster.astype(np.int64), int(cluster.max()) + 1


def paired_permutation(
    first: Floats, second: Floats, patients: Sequence[str], rng: np.random.Generator, draws: int = 10_000
) -> float:
    """Two-sided p of "the two systems have the same mean": per-study values [n] of the same studies in the same order.

    A patient's differences change sign together. All 2^patients sign patterns are tried where they are at most
    `draws`; else `draws` random ones, with the (hits + 1) / (draws + 1) estimate, which is never 0.
    """
    cluster, count = _clusters(patients)
    sums = np.bincount(cluster, weights=first - second, minlength=count)
    observed = abs(sums.sum()) * (1 - 1e-12)
    if 2**count <= draws:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float(np.mean(np.abs(signs @ sums) >= observed))
    signs = rng.integers(0, 2, size=(draws, count)) * 2.0 - 1.0
    return float((np.sum(np.abs(signs @ sums) >= observed) + 1) / (draws + 1))


@dataclass(frozen=True)
class Difference:
    """first - second of a corpus metric on the same studies, with its 95 % bootstrap interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    first: Floats,
    second: Floats,
    combine: Combine,
    patients: Sequence[str],
    rng: np.random.Generator,
    draws: int = 10_000,
) -> Difference:
    """The difference of two systems in a corpus metric, from their per-study statistics [n, k] (`SumMeasure.rows`).

    Both are re-scored on the same resampled patients. p = twice the share of draws on the other side of 0, at least
    2 / (draws + 1).
    """
    weights = bootstrap_weights(patients, draws, rng)
    gaps = combine(weights @ first) - combine(weights @ second)
    value, rest = float(gaps[0]), gaps[1:][np.isfinite(gaps[1:])]
    low, high = np.quantile(rest, [0.025, 0.975])
    tail = min(np.sum(rest <= 0), np.sum(rest >= 0))
    return Difference(value, float(low), float(high), float(min(1.0, 2 * (tail + 1) / (len(rest) + 1))))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p values (Scand J Stat 1979), in the given order.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted: dict[str, float] = {}
    running, total = 0.0, len(p_values)
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        running = max(running, min(1.0, (total - rank) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}
