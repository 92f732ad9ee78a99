"""The bytes of a round before it is run: what an algorithm declares that it sends and receives.

    traffic(algorithm, algorithm.init_server(shared, 3), "h01").total("upload")
"""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.models.lora_ranks import slice_ranks
from fedmrg_core.types import Payload


@dataclass(frozen=True)
class Traffic:
    """Bytes of one client in one round by (direction, group), as the ledger counts them."""

    groups: dict[tuple[str, str], int]

    def total(self, direction: str) -> int:
        """Bytes of "upload" or "download"."""
        return sum(size for (way, _), size in self.groups.items() if way == direction)


def traffic(algorithm: Algorithm, server: ServerState, client_id: str) -> Traffic:
    """The next round's traffic of a client. Prototypes and the like count as far as the server has them already."""
    rank = algorithm.rank_of(client_id)
    down = algorithm.broadcast(server, client_id)
    up = algorithm.upload_layout(server)
    sent: dict[str, Payload] = {
        "download": {**down, "shared": slice_ranks(down["shared"], rank)},
        "upload": {**up, "delta": algorithm.codec.layout(slice_ranks(up["delta"], rank))},
    }
    return Traffic({(way, g): tree.num_bytes(state) for way, payload in sent.items() for g, state in payload.items()})
