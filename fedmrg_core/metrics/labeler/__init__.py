"""The rule labeler for English reports: 14 CheXpert conditions, each blank, positive, negative or uncertain.

    >>> from fedmrg_core.metrics.labeler import label
    >>> label("Small left pleural effusion. No pneumothorax.")[9]
    1

The rules are the TOML files in this folder; docs/labeler.md has their agreement with human codes and CheXbert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from fedmrg_core.metrics.labeler.rules import OTHER
from fedmrg_core.metrics.labeler.scope import Stated, stated
from fedmrg_core.metrics.labeler.sentences import sentences
from fedmrg_core.metrics.labeler.spelling import words
from fedmrg_core.metrics.report_text import prepare_report
from fedmrg_core.types import CONDITIONS, Labels, LabelState

VERSION = "rules 3"

_STRENGTH = {LabelState.BLANK: 0, LabelState.NEGATIVE: 1, LabelState.UNCERTAIN: 2, LabelState.POSITIVE: 3}
_NO_FINDING = len(CONDITIONS) - 1


_LONGEST = 100
"""Words that are read at once. A longer sentence is read in pieces, so that the cost is linear in its length."""


@lru_cache(maxsize=65536)
def _sentence(sentence: str) -> tuple[Stated, ...]:
    tokens = words(sentence)
    pieces = (tokens[start : start + _LONGEST] for start in range(0, len(tokens), _LONGEST))
    return tuple(statement for piece in pieces for statement in stated(piece))


def statements(report: str) -> Iterator[tuple[str, tuple[Stated, ...]]]:
    """Each sentence of a report, in lower case, with the (condition, state) pairs that it states."""
    for sentence in sentences(prepare_report(report)):
        yield sentence, _sentence(sentence)


def label(report: str) -> Labels:
    """The 14 states of one report, in the order of `CONDITIONS`.

    A condition that is named more than once gets its strongest statement: positive, then uncertain, then negative.
    No Finding is positive if the report has text and neither a condition (except support devices) nor another
    abnormality is positive or uncertain; else it is blank. An empty report is all blank.
    """
    states: dict[str, LabelState] = {}
    empty = True
    for _, stated_there in statements(report):
        empty = False
        for condition, state in stated_there:
            if _STRENGTH[state] > _STRENGTH[states.get(condition, LabelState.BLANK)]:
                states[condition] = state
    if not empty and not _abnormal(states):
        states["No Finding"] = LabelState.POSITIVE
    return tuple(int(states.get(condition, LabelState.BLANK)) for condition in CONDITIONS)


def _abnormal(states: dict[str, LabelState]) -> bool:
    return any(
        state in (LabelState.POSITIVE, LabelState.UNCERTAIN)
        for condition, state in states.items()
        if condition != "Support Devices"
    )


def label_many(reports: Iterable[str]) -> list[Labels]:
    """`label` of every report, each distinct one labelled once."""
    items = list(reports)
    labels = {report: label(report) for report in dict.fromkeys(items)}
    return [labels[report] for report in items]


__all__ = ["OTHER", "VERSION", "label", "label_many", "statements"]
