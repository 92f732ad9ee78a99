"""Does a row of a board differ from the reference row? Paired over draws, from the committed results alone.

All rows share the draws of data and base, so differences are taken draw by draw: mean, 95 % t interval, two-sided p of
the paired t test, and p after Holm's correction over the rows of one column. One common draw gives a difference without
interval and p.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.board.boards import Board, Row
from benchmark.board.schema import possible_range

REFERENCE = "fedavg"
"""What a federated algorithm should improve on. Without such a row, the first trained row is the reference."""
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """A row's mean less the other's over their `draws` common draws, with its 95 % interval and Holm's p; with one
    draw, no interval (low and high are the value) and no p."""

    value: float
    low: float
    high: float
    p_holm: float | None
    draws: int


def reference(board: Board) -> Row | None:
    """The row that the others are compared with."""
    trained = [row for row in board.rows if not row.trivial]
    named = [row for row in trained if row.algorithm == REFERENCE]
    return next(iter([*named, *trained]), None)


def differences(rows: Sequence[Row], base: Row, key: str) -> dict[str, Difference]:
    """Differences of one score from the row `base`, by algorithm; only of rows that share a draw with it."""
    from fedmrg_core.metrics.compare import holm

    found = {row.algorithm: one for row in rows if row is not base and (one := _difference(row, base, key))}
    corrected = holm({name: one.p_holm for name, one in found.items() if one.p_holm is not None})
    return {name: replace(one, p_holm=corrected.get(name)) for name, one in found.items()}


def _difference(row: Row, base: Row, key: str) -> Difference | None:
    """The difference with its own p, before Holm's correction."""
    from fedmrg_core.metrics.compare import paired_seeds

    own, other = row.values.get(key, {}), base.values.get(key, {})
    draws = sorted(own.keys() & other.keys())
    if not draws:
        return None
    found = paired_seeds([own[draw] for draw in draws], [other[draw] for draw in draws])
    if found is None:
        value = own[draws[0]] - other[draws[0]]
        return Difference(value, value, value, None, 1)
    lowest, highest = possible_range(key)
    widest = highest - lowest
    return Difference(found.value, max(found.low, -widest), min(found.high, widest), found.p, len(draws))


def indistinguishable(board: Board, key: str) -> list[str]:
    """Rows with the most draws whose difference from the first is within chance (Holm's p of LEVEL or more)."""
    rows = board.complete
    found = differences(rows, rows[0], key) if rows else {}
    return [name for name, one in found.items() if one.p_holm is not None and one.p_holm >= LEVEL]
