"""Intervals. A metric is a table of per-study sufficient statistics and a function of their sum, so that a bootstrap
gets the exact score of every resampled corpus from one matrix product. Patients are drawn, not studies.

    weights = bootstrap_weights(patients, 1000, generator("scorecard"))     # [1001, n], row 0 is the sample itself
    draws = measure.score(weights)                                          # [1001]
    interval(draws)                                                         # value, low, high
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedmrg_core.errors import FedMRGError
from fedmrg_core.metrics import catalogue
from fedmrg_core.metrics.catalogue import Reports

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Combine = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Score:
    """A metric's value with its 95 % interval over `n` studies; `version` names the code and text convention."""

    value: float
    low: float
    high: float
    n: int
    version: str
    higher_is_better: bool


class Measure(Protocol):
    """One metric of n studies."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def per_study(self) -> Floats:
        """[n]: the metric of each study alone (NaN where it has none)."""

    def score(self, weights: Floats, index: Ints) -> Floats:
        """[b]: the metric of the studies `index` [m] under each row of `weights` [b, m]; NaN where undefined."""


@dataclass(frozen=True)
class SumMeasure:
    """A metric that is a function of summed per-study statistics `rows` [n, k]: `combine` maps sums [.., k] to values
    [..]. counts: the column that stores the rows in per-study files; "" where the values alone are stored."""

    name: str
    rows: Floats
    combine: Combine
    version: str
    higher_is_better: bool = True
    counts: str = ""

    @property
    def per_study(self) -> Floats:
        return self.combine(self.rows)

    def score(self, weights: Floats, index: Ints) -> Floats:
        return self.combine(weights @ self.rows[index])


def mean_measure(name: str, values: Floats, version: str, higher_is_better: bool = True) -> SumMeasure:
    """A metric that is the mean of per-study values [n]; NaN values are left out."""
    known = np.isfinite(values)
    rows = np.stack([np.where(known, values, 0.0), known.astype(np.float64)], axis=1)
    return SumMeasure(name, rows, ratio, version, higher_is_better)


def ratio(sums: Floats) -> Floats:
    """sums[.., 0] / sums[.., 1]; NaN where sums[.., 1] is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def registered_measures(reports: Reports) -> list[SumMeasure]:
    """The catalogue's registered metrics of n reports, without those that cannot be computed for them.

    Raises:
        FedMRGError: a metric's function did not return n rows.
    """
    found = []
    for metric in catalogue.registered():
        rows = metric.compute(reports) if metric.compute else None
        if rows is None:
            continue
        values, n = np.asarray(rows, dtype=np.float64), len(reports.hypotheses)
        if values.ndim not in (1, 2) or len(values) != n:
            raise FedMRGError(f"metric '{metric.key}' returned the shape {values.shape} for {n} reports: [n] or [n, k]")
        found.append(_registered_measure(metric, values))
    return found


def _registered_measure(metric: catalogue.Metric, values: Floats) -> SumMeasure:
    if values.ndim == 1:
        return mean_measure(metric.key, values, metric.version, metric.higher_is_better)
    combine, counts = metric.combine or ratio, f"{metric.key}_counts"
    return SumMeasure(metric.key, values, combine, metric.version, metric.higher_is_better, counts)


def bootstrap_weights(patients: Sequence[str], resamples: int, rng: np.random.Generator) -> Floats:
    """How often each of n studies is drawn, [resamples + 1, n]: patients are drawn with replacement, with all their
    studies. Row 0 is the sample itself, all ones."""
    _, cluster = np.unique(np.asarray(patients, dtype=object).astype(str), return_inverse=True)
    count = int(cluster.max()) + 1 if len(cluster) else 0
    weights = np.ones((resamples + 1, len(cluster)))
    if count and resamples:
        drawn = rng.integers(0, count, size=(resamples, count))
        flat = (drawn + np.arange(resamples)[:, None] * count).ravel()
        weights[1:] = np.bincount(flat, minlength=resamples * count).reshape(resamples, count)[:, cluster]
    return weights


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float, float]:
    """(value, low, high): draws[0] is the value, the rest its bootstrap distribution (percentile method).

    Undefined (NaN) draws are left out. Without resamples, low and high are the value.
    """
    value, rest = float(draws[0]), draws[1:][np.isfinite(draws[1:])]
    if not len(rest):
        return value, value, value
    low, high = np.quantile(rest, [(1 - level) / 2, (1 + level) / 2])
    return value, float(low), float(high)
