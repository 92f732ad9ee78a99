"""For methods whose hospitals store a whole model of their own, which their personal view scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, ClientState, ServerState
from fedmrg_core.types import State

OWN = "own"


@dataclass(frozen=True)
class OwnModel(Algorithm):
    """A client puts its model into `client.memory[OWN]`. Hospitals that have none get the server's."""

    family = "personal parts"
    keeps = (OWN,)

    def has_personal_view(self, client: ClientState) -> bool:
        return OWN in client.memory

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        return {**server.params, **(client.memory.get(OWN, {}) if client else {})}
