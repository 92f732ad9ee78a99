"""Does a row of a board differ from the reference row? Paired over seeds, from the committed results alone.

All rows share the draw of data and base of a seed, so differences are taken seed by seed: mean, 95 % t interval,
two-sided p of the paired t test, and p after Holm's correction over the rows of one column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.board.boards import Board, Row

REFERENCE = "fedavg"
"""What a federated algorithm should improve on. Without such a row, the first trained row is the reference."""


@dataclass(frozen=True)
class Difference:
    """A row's mean less the reference's over their `seeds` common seeds, with its 95 % interval and Holm's p."""

    value: float
    low: float
    high: float
    p_holm: float
    seeds: int


def reference(board: Board) -> Row | None:
    """The row that the others are compared with."""
    trained = [row for row in board.rows if not row.trivial]
    named = [row for row in trained if row.algorithm == REFERENCE]
    return next(iter([*named, *trained]), None)


def differences(board: Board, key: str) -> Mapping[str, Difference]:
    """Differences of one score from the reference row, by algorithm; only rows with at least two common seeds."""
    from fedmrg_core.metrics.compare import holm, paired_seeds

    base = reference(board)
    if base is None:
        return {}
    found = {}
    for row in board.rows:
        seeds = sorted(row.values.get(key, {}).keys() & base.values.get(key, {}).keys())
        pair = [[other.values[key][seed] for seed in seeds] for other in (row, base)] if seeds else [[], []]
        difference = paired_seeds(*pair) if row is not base else None
        if difference is not None:
            found[row.algorithm] = (difference, len(seeds))
    corrected = holm({name: difference.p for name, (difference, _) in found.items()})
    return {name: Difference(d.value, d.low, d.high, corrected[name], n) for name, (d, n) in found.items()}
