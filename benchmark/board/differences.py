"""Does a row of a board differ from the reference row? Paired over draws and patients, from committed results alone.

All rows share the draws of data and base, and the patients of a draw, so both rows are resampled together
(`resampling.py`): mean difference over their common draws, 95 % interval, two-sided p, and p after Holm's correction
over the rows of one column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmark.board.boards import Board
from benchmark.board.resampling import interval, over_draws, p_value
from benchmark.board.rows import Row

REFERENCE = "fedavg"
"""What a federated algorithm should improve on. Without such a row, the first trained row is the reference."""
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """A row's mean less the other's over their `draws` common draws, with its 95 % interval and Holm's p."""

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


def differences(rows: Sequence[Row], base: Row, key: str) -> dict[str, Difference]:
    """Differences of one score from the row `base`, by algorithm; only of rows that share a draw with it."""
    return corrected({row.algorithm: paired(row, base, key) for row in rows if row is not base})


def corrected(found: dict[str, Difference | None]) -> dict[str, Difference]:
    """The known ones of these, each with its p after Holm's correction over them."""
    from fedmrg_core.metrics.compare import holm

    known = {name: one for name, one in found.items() if one is not None}
    p = holm({name: one.p_holm for name, one in known.items()})
    return {name: replace(one, p_holm=p[name]) for name, one in known.items()}


def paired(row: Row, base: Row, key: str) -> Difference | None:
    """The difference with its own p, before Holm's correction; None without a common draw."""
    own, other = row.values.get(key, {}), base.values.get(key, {})
    draws = sorted(own.keys() & other.keys())
    if not draws:
        return None
    value = math.fsum(own[draw] - other[draw] for draw in draws) / len(draws)
    spread = over_draws({draw: row.resampled[key][draw] - base.resampled[key][draw] for draw in draws})
    low, high = interval(spread) or (value, value)
    return Difference(value, low, high, p_value(spread), len(draws))


def indistinguishable(board: Board, key: str) -> list[str]:
    """Rows with the most draws whose difference from the first is within chance (Holm's p of LEVEL or more)."""
    rows = board.complete
    found = differences(rows, rows[0], key) if rows else {}
    return [name for name, one in found.items() if one.p_holm >= LEVEL]
