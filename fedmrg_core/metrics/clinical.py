"""Clinical efficacy: does the generated report state the findings that the reference states?

All conventions of the field, side by side (docs/metrics-reference.md says which paper uses which):
positive only, or `_unc` with uncertain as positive; 14 conditions or CheXpert's 5; micro, macro, and example-based
(PromptMRG, Jin et al., AAAI 2024: the mean over studies; a pair without any positive scores 0). Undefined ratios are 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.definitions import condition_key
from fedmrg_core.metrics.stats import Combine, Floats, SumMeasure, ratio
from fedmrg_core.types import CONDITIONS, FIVE_CONDITIONS, LabelState

States = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]

KINDS: tuple[str, ...] = ("precision", "recall", "f1")
_CONDITION_KEYS = {condition_key(condition) for condition in CONDITIONS}
_FIVE = [CONDITIONS.index(name) for name in FIVE_CONDITIONS]


def is_positive(states: States, uncertain: bool) -> Flags:
    """[n, c] flags: positive, or with `uncertain` positive or uncertain."""
    positive = states == LabelState.POSITIVE
    return np.asarray(positive | (states == LabelState.UNCERTAIN) if uncertain else positive)


def prf(hits: Floats, false_alarms: Floats, misses: Floats, kind: str) -> Floats:
    """Precision, recall or F1 of counts of one shape; 0 where its denominator is 0."""
    below = {
        "precision": hits + false_alarms,
        "recall": hits + misses,
        "f1": hits + 0.5 * (false_alarms + misses),
    }[kind]
    return np.divide(hits, below, out=np.zeros(np.shape(below)), where=below > 0)


def counts(reference: Flags, hypothesis: Flags) -> Floats:
    """[n, 3c]: per study and condition true positives, false positives, false negatives."""
    parts = (reference & hypothesis, ~reference & hypothesis, reference & ~hypothesis)
    return np.concatenate(parts, axis=1).astype(np.float64)


def _split(sums: Floats) -> tuple[Floats, Floats, Floats]:
    first, second, third = np.split(sums, 3, axis=-1)
    return first, second, third


def micro(sums: Floats, kind: str) -> Floats:
    """Micro average of summed counts [.., 3c] -> [..]: every (study, condition) decision has equal weight."""
    hits, false_alarms, misses = (part.sum(-1) for part in _split(sums))
    return prf(hits, false_alarms, misses, kind)


def macro(sums: Floats, kind: str) -> Floats:
    """Macro average of summed counts [.., 3c] -> [..]: conditions have equal weight; one that never occurs counts 0."""
    return np.asarray(prf(*_split(sums), kind).mean(-1))


def example(rows: Floats, kind: str) -> Floats:
    """Example-based value of each study's counts [n, 3c] -> [n]."""
    return micro(rows, kind)


def weighted_mean(sums: Floats) -> Floats:
    """sums[.., 0] / sums[.., 1]."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1e-300))


def measures(
    reference: States, hypothesis: States, version: str, prefix: str = "ce", uncertain: tuple[bool, ...] = (False, True)
) -> list[SumMeasure]:
    """Every CE metric of n studies, from the 4-state labels [n, 14] of references and generations."""
    found = []
    for with_uncertain in uncertain:
        table = counts(is_positive(reference, with_uncertain), is_positive(hypothesis, with_uncertain))
        suffix = "_unc" if with_uncertain else ""
        for name, rows, combine in _averages(table):
            found.append(SumMeasure(f"{prefix}_{name}{suffix}", rows, combine, version))
    return found


def condition_measures(reference: States, hypothesis: States, version: str) -> list[SumMeasure]:
    """The F1 of each condition, positives only; undefined where no text of the corpus is positive."""
    table = counts(is_positive(reference, False), is_positive(hypothesis, False))
    columns = [[c, c + len(CONDITIONS), c + 2 * len(CONDITIONS)] for c in range(len(CONDITIONS))]
    return [
        SumMeasure(condition_key(condition), table[:, own], single_f1, version)
        for condition, own in zip(CONDITIONS, columns, strict=True)
    ]


def single_f1(sums: Floats) -> Floats:
    """F1 of summed hits, false alarms and misses [.., 3] -> [..]; NaN where all are 0."""
    hits, wrong = sums[..., 0], sums[..., 1] + sums[..., 2]
    return ratio(np.stack([2 * hits, 2 * hits + wrong], axis=-1))


def combine_of(key: str) -> Combine | None:
    """What maps the summed counts of a clinical metric to its value, by key; None if it is none.

    >>> combine_of("ce_f1_micro14")(np.array([[2.0, 1.0, 1.0]]))
    array([0.66666667])
    """
    found = re.fullmatch(r"(?:ce|head)_(precision|recall|f1)_(micro|macro|example)(?:14|5)(?:_unc)?", key)
    if found is None:
        return single_f1 if key in _CONDITION_KEYS else None
    kind, average = found.groups()
    return weighted_mean if average == "example" else partial(micro if average == "micro" else macro, kind=kind)


def _averages(table: Floats) -> Iterator[tuple[str, Floats, Combine]]:
    columns = [part * len(CONDITIONS) + c for part in range(3) for c in _FIVE]
    five = table[:, columns]
    for kind in KINDS:
        yield f"{kind}_micro14", table, partial(micro, kind=kind)
        yield f"{kind}_macro14", table, partial(macro, kind=kind)
        yield f"{kind}_micro5", five, partial(micro, kind=kind)
        yield f"{kind}_macro5", five, partial(macro, kind=kind)
        each = example(table, kind)
        yield f"{kind}_example14", np.stack([each, np.ones_like(each)], axis=1), weighted_mean
