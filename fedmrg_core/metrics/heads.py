"""Metrics of the diagnosis head: what the model recognised in the film, whatever its report says.

`head_f1_micro14`: CE F1 of the head's argmax against the data set's labels. `head_accuracy`: share of the 14 x n states
that are exactly right. `head_auroc`: area under the ROC curve of P(positive), mean over the conditions that have both
positive and other studies (uncertain counts as not positive).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedmrg_core.metrics import clinical
from fedmrg_core.metrics.stats import Floats, Ints, Measure, mean_measure
from fedmrg_core.types import LabelState

VERSION = "head 1"


@dataclass(frozen=True)
class AurocMeasure:
    """Macro AUROC of `probabilities` [n, c] for the flags `positive` [n, c]; exact under bootstrap weights."""

    probabilities: Floats
    positive: clinical.Flags
    name: str = "head_auroc"
    version: str = VERSION
    higher_is_better: bool = True

    @property
    def per_study(self) -> Floats:
        return np.full(len(self.probabilities), np.nan)  # a single study has no ROC curve

    def score(self, weights: Floats, index: Ints) -> Floats:
        columns = range(self.probabilities.shape[1])
        areas = [auroc(self.probabilities[index, c], self.positive[index, c], weights) for c in columns]
        table = np.stack(areas, axis=1)
        known = np.isfinite(table)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(known, table, 0.0).sum(1) / np.where(known.any(1), known.sum(1), np.nan))


def auroc(scores: Floats, positive: clinical.Flags, weights: Floats) -> Floats:
    """[b]: the area under the ROC curve with study weights [b, n], ties counted half; NaN where a class is missing."""
    first, second = np.flatnonzero(positive), np.flatnonzero(~positive)
    wins = np.sign(scores[first][:, None] - scores[second][None, :]) * 0.5 + 0.5
    hits, others = weights[:, first], weights[:, second]
    won = np.einsum("bi,bi->b", hits @ wins, others)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(won / (hits.sum(1) * others.sum(1)))


def measures(
    labels: clinical.States, states: clinical.States | None, probabilities: Floats | None
) -> list[Measure]:
    """The head's metrics of n studies, from data set labels, the head's states and P(positive), each [n, 14]."""
    found: list[Measure] = []
    if states is not None:
        f1 = clinical.measures(labels, states, VERSION, prefix="head", uncertain=(False,))
        found += [measure for measure in f1 if measure.name == "head_f1_micro14"]
        found.append(mean_measure("head_accuracy", (labels == states).mean(axis=1), VERSION))
    if probabilities is not None and len(probabilities):
        found.append(AurocMeasure(probabilities, labels == LabelState.POSITIVE))
    return found
