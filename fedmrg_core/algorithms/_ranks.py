"""For methods whose hospitals may train LoRA at ranks of their own."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from fedmrg_core.errors import in_range


def check_ranks(ranks: Sequence[int]) -> None:
    """Raise ConfigError for a rank below 1. One above the tuning's counts as that."""
    for rank in ranks:
        in_range("algorithm.ranks", rank, 1)


def rank_in_turn(ranks: Sequence[int], client_id: str) -> int | None:
    """The rank of a hospital: h01 has the first, h02 the second, and again from the first; None if there are no ranks.

    A name without a number at its end stands where its checksum puts it.

    >>> [rank_in_turn((8, 4, 2), name) for name in ("h01", "h02", "h03", "h04")]
    [8, 4, 2, 8]
    """
    if not ranks:
        return None
    number = re.search(r"\d+$", client_id)
    return ranks[(int(number[0]) - 1 if number else zlib.crc32(client_id.encode())) % len(ranks)]
