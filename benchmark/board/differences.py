"""Is a row of a board different from the reference row? Paired over seeds, from committed results alone.

A seed is a draw of data and base that all rows share, so differences are taken seed by seed: mean, 95 % t interval,
two-sided p of the paired t test, and p after Holm's correction over the rows of one column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.board.results import Board, Row

REFERENCE = "fedavg"
"""What a federated algorithm is asked to improve on; where it has no row, the first row that was trained."""


@dataclass(frozen=True)
class Gap:
    """A row's mean less the reference's over `seeds` common seeds, with interval and Holm's p."""

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


def gaps(board: Board, key: str) -> Mapping[str, Gap]:
    """Differences of one score from the reference row, by algorithm; a row with less than two common seeds has none."""
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
    return {name: Gap(d.value, d.low, d.high, corrected[name], n) for name, (d, n) in found.items()}
