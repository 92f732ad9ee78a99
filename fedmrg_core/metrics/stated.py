"""What the sentences of a report state about side and severity, by simple rules made for the phantom's wordings.

    >>> for fact in facts("Small left effusion. No pneumothorax."): print(fact)
    Fact(condition='Pleural Effusion', state=1, side='left', size=0)
    Fact(condition='Pneumothorax', state=2, side='', size=None)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fedmrg_core.metrics.definitions import Shown
from fedmrg_core.types import CONDITIONS, LabelState

PRESENT = (LabelState.POSITIVE, LabelState.UNCERTAIN)
_WEAKEST_FIRST = (LabelState.BLANK, LabelState.NEGATIVE, LabelState.UNCERTAIN, LabelState.POSITIVE)
SIZES = (
    re.compile(r"\b(?:small|mild|slight|nondisplaced)\b"),
    re.compile(r"\b(?:moderate|medium-sized|mildly displaced)\b"),
    re.compile(r"\b(?:large|severe|marked|(?<!mildly )displaced)\b"),
)
"""Words of severity 0, 1 and 2."""
BOTH_SIDES = re.compile(r"\b(?:both|bilateral|bilaterally|bibasilar)\b")


@dataclass(frozen=True)
class Fact:
    """A sentence states that a condition is (not) there, on a side ("" if none is named) and of a severity (0 to 2,
    None if none, or several, are named). state: a `LabelState` as an integer."""

    condition: str
    state: int
    side: str
    size: int | None


@lru_cache(maxsize=65536)
def facts(report: str) -> tuple[Fact, ...]:
    """The facts of a report, in order."""
    from fedmrg_core.metrics.labeler import statements

    found = []
    for sentence, pairs in statements(report):
        side, size = _side(sentence), _size(sentence)
        strongest: dict[str, LabelState] = {}  # a sentence may name a condition twice
        for condition, state in sorted(pairs, key=lambda pair: _WEAKEST_FIRST.index(pair[1])):
            strongest[condition] = state
        found += [Fact(name, int(state), side, size) for name, state in strongest.items() if name in CONDITIONS]
    return tuple(found)


def _side(sentence: str) -> str:
    named = [side for side in ("left", "right") if re.search(rf"\b{side}\b", sentence)]
    if BOTH_SIDES.search(sentence) or len(named) == 2:
        return "both"
    return named[0] if named else ""


def _size(sentence: str) -> int | None:
    named = [size for size, words in enumerate(SIZES) if words.search(sentence)]
    return named[0] if len(named) == 1 else None


def seen(report: str, shown: Shown) -> Iterator[tuple[Fact, str, int]]:
    """The facts that a drawn finding is there, each with the side and severity that is drawn."""
    for fact in facts(report):
        if fact.state in PRESENT and fact.condition in shown:
            yield fact, *shown[fact.condition]


def wrong_sides(report: str, shown: Shown) -> tuple[float, float]:
    """How many drawn findings are placed on another side, of how many that are placed on any."""
    checked = [fact.side != side for fact, side, _ in seen(report, shown) if fact.side and side]
    return float(sum(checked)), float(len(checked))


def wrong_sizes(report: str, shown: Shown) -> tuple[float, float]:
    """How many drawn findings are given another severity, of how many that are given any."""
    checked = [fact.size != size for fact, _, size in seen(report, shown) if fact.size is not None]
    return float(sum(checked)), float(len(checked))


def contradicts(report: str) -> bool:
    """Whether a condition is there in one sentence and denied in another."""
    found = facts(report)
    there = {fact.condition for fact in found if fact.state in PRESENT}
    return any(fact.condition in there for fact in found if fact.state == LabelState.NEGATIVE)


def counted(rows: Sequence[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """Counts as [n, 2], also for n = 0."""
    return np.array(rows, dtype=np.float64).reshape(len(rows), 2)
