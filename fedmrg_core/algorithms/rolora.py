"""RoLoRA (Chen et al., NeurIPS 2025, arXiv 2502.01755): rounds take turns: in one all hospitals train and send B, in
the next A."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fedmrg_core.algorithms._factors import A, B, FactorMethod, train_without, without
from fedmrg_core.algorithms.base import Client, ServerState, register
from fedmrg_core.types import Payload

TURN = "turn"


@register("rolora")
@dataclass(frozen=True)
class RoLoRA(FactorMethod):
    """The factor that rests is the same at all hospitals, so that averaging the other one makes no error.

    The first turn is B's: as B begins at 0, A would have no gradient.
    """

    def resting(self, round_number: int) -> str:
        """The factor that rests in a round."""
        return B if round_number % 2 else A

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        return {**super().broadcast(server, client_id), TURN: {"round": torch.tensor(server.round)}}

    def upload_layout(self, server: ServerState) -> Payload:
        return {"delta": without(server.params, self.resting(server.round))}

    def client_round(self, client: Client) -> Payload:
        return train_without(client, self.resting(int(client.received[TURN]["round"])))
