"""One interval for a score of several draws: a bootstrap over draws and patients together.

In each of `RESAMPLES` resamples, the patients of every draw are drawn with replacement, each with all its studies, and
the score is computed again from their summed counts. Then k - 1 of the k draws are drawn with replacement and averaged
(Rao & Wu, JASA 1988: with k of k, the spread between few draws comes out too small). All rows of a board share patients
and draws, so a difference of two rows is resampled in pairs. What leaves a metric's range in no resample does not leave
it in an interval. All randomness has fixed seeds: the same results give the same intervals.

With three draws, 95 % intervals cover 98 % where draws differ as much as their patients let each vary, 93 % where
twice as much, and 79 % where patients hardly matter (docs/boards.md; tests/benchmark/test_resampling.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from benchmark.board.study_values import ViewValues
from fedmrg_core.errors import DataError
from fedmrg_core.metrics.stats import Floats, Ints
from fedmrg_core.seeding import generator

RESAMPLES = 2000
NORMAL_95 = 1.959964
"""Half width of a 95 % interval of the normal distribution."""


class Hospital(NamedTuple):
    """studies: the row numbers of its m studies, [m]. patient: of each its patient's number here, [m]. weights: how
    often each of its patients is drawn, [patients, RESAMPLES]."""

    studies: Ints
    patient: Ints
    weights: Floats


class Patients:
    """The resampled patients of a board's studies: the same for every row."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[ViewValues, list[Hospital]]] = {}

    def of(self, studies: str, part: str, values: ViewValues) -> list[Hospital]:
        """The hospitals of a part, the same for all results with these studies (`results.studies`) and in every view.
        A patient of two hospitals is drawn in both or in neither.

        Raises:
            DataError: another result of these has other studies.
        """
        known, found = self._known.setdefault((studies, part), (values, []))
        same = np.array_equal(known.patients, values.patients) and np.array_equal(known.hospitals, values.hospitals)
        if not same:
            raise DataError(f"values of part {part} belong to other studies than those of results with the same data")
        if not found:
            weights = _drawn(int(values.patients.max()) + 1, generator("board", "patients", studies, part))
            found += [_hospital(values, number, weights) for number in range(int(values.hospitals.max()) + 1)]
        return found


def _drawn(count: int, rng: np.random.Generator) -> Floats:
    """How often each of `count` patients is drawn, [count, RESAMPLES]."""
    drawn = rng.integers(0, count, size=(count, RESAMPLES)) * RESAMPLES + np.arange(RESAMPLES)
    weights = np.bincount(drawn.ravel(), minlength=RESAMPLES * count).reshape(count, RESAMPLES)
    return weights.astype(np.float64)


def _hospital(values: ViewValues, number: int, weights: Floats) -> Hospital:
    studies = np.flatnonzero(values.hospitals == number)
    members, patient = np.unique(values.patients[studies], return_inverse=True)
    return Hospital(studies, patient, weights[members])


def summed(rows: Floats, hospitals: Sequence[Hospital]) -> Floats:
    """The counts of each hospital in each resample, [hospitals, RESAMPLES, k], from counts of studies [n, k]."""
    found = np.empty((len(hospitals), rows.shape[1], RESAMPLES))
    for own, counts in zip(hospitals, found, strict=True):
        sums = np.zeros((len(own.weights), rows.shape[1]))
        np.add.at(sums, own.patient, rows[own.studies])
        np.matmul(sums.T, own.weights, out=counts)
    return found.swapaxes(1, 2)


def about(value: float, low: float, high: float, *words: str) -> Floats:
    """Resamples of a score of which only the interval is known, [RESAMPLES]: normal on either side of its value, with
    this interval. words: what the randomness belongs to; equal words give equal deviations."""
    middle, z = min(max(value, low), high), _normal(*words)
    return middle + np.where(z < 0, middle - low, high - middle) / NORMAL_95 * z


@lru_cache(maxsize=256)
def _normal(*words: str) -> Floats:
    """The normal distribution's quantiles, as many as resamples, in an order of these words."""
    return generator("board", "normal", *words).permutation(_quantiles())


@cache
def _quantiles() -> Floats:
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / RESAMPLES) for i in range(RESAMPLES)])


def over_draws(values: Mapping[str, Floats]) -> Floats:
    """The mean over draws in each resample, [RESAMPLES], from each draw's resamples: k - 1 of k draws, drawn anew."""
    names = tuple(sorted(values))
    table = np.stack([values[name] for name in names])
    return table[0] if len(names) == 1 else np.asarray((shares(names) * table).sum(0))


@lru_cache(maxsize=256)
def shares(names: tuple[str, ...]) -> Floats:
    """The weight of each of k draws in each resample, [k, RESAMPLES]; a column sums to 1."""
    k = len(names)
    drawn = generator("board", "draws", *names).multinomial(k - 1, [1 / k] * k, size=RESAMPLES)
    return np.asarray(drawn.T / (k - 1))


def interval(found: Floats) -> tuple[float, float] | None:
    """The 95 % percentile interval of resamples; None where the score is undefined in most."""
    known = found[np.isfinite(found)]
    if 2 * len(known) < len(found):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def p_value(differences: Floats) -> float:
    """Two-sided p of "no difference": twice the share of resamples on the other side of 0, never 0.

    >>> p_value(np.array([0.1] * 1999)), p_value(np.array([0.1, -0.1] * 1000)), p_value(np.zeros(10))
    (0.001, 1.0, 1.0)
    """
    known = differences[np.isfinite(differences)]
    fewer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(known) + 1))
