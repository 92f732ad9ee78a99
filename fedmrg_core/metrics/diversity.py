"""Is it a report or a template: the shares of distinct generations and of those that stand in the training reports."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from fedmrg_core.metrics.stats import Floats, Ints, SumMeasure, mean_measure

DISTINCT = "distinct 1"
NO_WORST = frozenset({"distinct", "verbatim"})
"""Diversity is neither good nor bad by itself: no worst hospital."""


def verbatim(hypotheses: Sequence[str], train_reports: Sequence[str]) -> SumMeasure:
    """The share of generations that stand word for word in the training reports (white space and case aside)."""
    known = {" ".join(report.lower().split()) for report in train_reports}
    hits = [float(" ".join(text.lower().split()) in known) for text in hypotheses]
    return mean_measure("verbatim", np.array(hits), "verbatim 1", higher_is_better=False)


@dataclass(frozen=True)
class DistinctMeasure:
    """The share of generations that are distinct, by anything that tells one from another (the string, a number).

    No interval: a resample repeats studies, and with them their reports, so a bootstrap of this share would be
    biased; low and high equal the value."""

    hypotheses: tuple[Hashable, ...]
    name: str = "distinct"
    version: str = DISTINCT
    higher_is_better: bool = True

    @property
    def per_study(self) -> Floats:
        return np.full(len(self.hypotheses), np.nan)

    def score(self, weights: Floats, index: Ints) -> Floats:
        share = len({self.hypotheses[row] for row in index}) / max(len(index), 1)
        return np.full(len(weights), share)
