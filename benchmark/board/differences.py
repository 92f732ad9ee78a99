"""Does a row of a board differ from the reference row? Paired over draws, from the committed results alone.

All rows share the draws of data and base, so differences are taken draw by draw: mean, 95 % t interval, two-sided p of
the paired t test, and p after Holm's correction over the rows of one column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.board.boards import Board, Row
from benchmark.board.schema import possible_range

REFERENCE = "fedavg"
"""What a federated algorithm should improve on. Without such a row, the first trained row is the reference."""


@dataclass(frozen=True)
class Difference:
    """A row's mean less the reference's over their `draws` common draws, with its 95 % interval and Holm's p."""

    value: float
    low: float
    high: float
    p_holm: float
    draws: int


def reference(board: Board) -> Row | None:
    """The row that the others are compared with."""
    trained = [row for row in board.rows if not row.trivial]
    named = [row for row in trained if row.algorithm == REFERENCE]
    return next(iter([*named, *trained]), None)


def differences(board: Board, key: str) -> Mapping[str, Difference]:
    """Differences of one score from the reference row, by algorithm; only rows with at least two common draws."""
    from fedmrg_core.metrics.compare import holm, paired_seeds

    base = reference(board)
    if base is None:
        return {}
    found = {}
    for row in board.rows:
        draws = sorted(row.values.get(key, {}).keys() & base.values.get(key, {}).keys())
        pair = [[other.values[key][draw] for draw in draws] for other in (row, base)] if draws else [[], []]
        difference = paired_seeds(*pair) if row is not base else None
        if difference is not None:
            found[row.algorithm] = (difference, len(draws))
    corrected = holm({name: difference.p for name, (difference, _) in found.items()})
    lowest, highest = possible_range(key)
    widest = highest - lowest
    return {
        name: Difference(d.value, max(d.low, -widest), min(d.high, widest), corrected[name], n)
        for name, (d, n) in found.items()
    }
