"""The share of distinct generations: is it a report or a template? (`verbatim` is in `registered/`.)"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from fedmrg_core.metrics.stats import Floats, Ints

DISTINCT = "distinct 1"


@dataclass(frozen=True)
class DistinctMeasure:
    """The share of distinct generations; `hypotheses` are texts, or numbers that are equal for equal texts.

    Low and high equal the value: a resample repeats studies and their reports, so a bootstrap would be biased."""

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
