"""Are two systems different? Paired tests on the same studies, Holm's correction.

    paired(first, second, patients, generator(0, "test"))   # Difference of two measures of the same studies
    holm({"a against b": .01, "a against c": .04})          # adjusted p values
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedmrg_core.metrics.stats import Combine, Floats, SumMeasure

_BLOCK = 2_000_000
"""Resampling weights in memory at once; more are drawn block by block."""


@dataclass(frozen=True)
class Difference:
    """first - second of a metric on the same studies, with its 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def paired(
    first: SumMeasure, second: SumMeasure, patients: Sequence[str], rng: np.random.Generator, draws: int = 10_000
) -> Difference:
    """Two systems in one metric on the same studies: bootstrap interval of the difference, permutation p."""
    found = paired_bootstrap(first.rows, second.rows, first.combine, patients, rng, draws)
    p = paired_permutation(first.rows, second.rows, first.combine, patients, rng, draws)
    return Difference(found.value, found.low, found.high, p)


def _by_patient(rows: Floats, patients: Sequence[str]) -> Floats:
    """[patients, k]: the statistics of each patient's studies together."""
    _, cluster = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    sums = np.zeros((int(cluster.max()) + 1, rows.shape[1]))
    np.add.at(sums, cluster, rows)
    return sums


def _blocks(draws: int, width: int) -> Iterator[int]:
    """Sizes of blocks that add up to `draws`."""
    size = max(1, _BLOCK // max(width, 1))
    yield from (min(size, draws - start) for start in range(0, draws, size))


def paired_permutation(
    first: Floats,
    second: Floats,
    combine: Combine,
    patients: Sequence[str],
    rng: np.random.Generator,
    draws: int = 10_000,
) -> float:
    """Two-sided p of "it does not matter which system wrote a patient's reports", from statistics [n, k] of the same
    studies.

    The systems are exchanged patient by patient, and both corpora are scored after each exchange. All 2^patients
    exchanges are tried if they are at most `draws`; else `draws` random ones, with the estimate
    (hits + 1) / (draws + 1), which is never 0.
    """
    one, other = _by_patient(first, patients), _by_patient(second, patients)
    count, total_one, total_other = len(one), one.sum(0), other.sum(0)
    observed = abs(float(combine(total_one) - combine(total_other))) * (1 - 1e-9)

    def hits(swapped: Floats) -> int:
        moved = swapped @ (other - one)
        differences = combine(total_one + moved) - combine(total_other - moved)
        return int(np.sum(np.abs(differences) >= observed))

    if 2**count <= draws:
        every = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return float(hits(every.astype(np.float64)) / len(every))
    found = sum(hits(rng.integers(0, 2, size=(size, count)).astype(np.float64)) for size in _blocks(draws, count))
    return float((found + 1) / (draws + 1))


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
    one, other = _by_patient(first, patients), _by_patient(second, patients)
    value = float(combine(one.sum(0)) - combine(other.sum(0)))
    differences = []
    for size in _blocks(draws, len(one)):
        weights = rng.multinomial(len(one), np.full(len(one), 1 / len(one)), size=size).astype(np.float64)
        differences.append(combine(weights @ one) - combine(weights @ other))
    rest = np.concatenate(differences)
    rest = rest[np.isfinite(rest)]
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
