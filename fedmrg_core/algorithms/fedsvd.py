"""FedSVD (Lee et al., NeurIPS 2025, arXiv 2505.12805): as FFA-LoRA, but the server turns A to where the mean product
points, by a singular value decomposition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fedmrg_core.algorithms._factors import A, B, FactorMethod, train_without, without
from fedmrg_core.algorithms.base import Client, ServerState, Update, register
from fedmrg_core.algorithms.fedlora import orthonormal_factors
from fedmrg_core.errors import in_range
from fedmrg_core.types import Payload, State


@register("fedsvd")
@dataclass(frozen=True)
class FedSVD(FactorMethod):
    """Only B is trained and sent. Every `period` rounds mean(B) A = U S V^T, and then A = V^T, B = U S: the product
    stays, and the rows of A are orthonormal, which bounds the gradient of B (made for differential privacy).

    period: 0 is ffa-lora, whose A stays as it was drawn. A travels down in every round.
    """

    period: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.period", self.period, 0)

    def upload_layout(self, server: ServerState) -> Payload:
        return {"delta": without(server.params, A)}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        moved = super().aggregate(server, updates, rng)
        due = self.period > 0 and (server.round + 1) % self.period == 0
        return moved.moved(turned(moved.params)) if due else moved

    def client_round(self, client: Client) -> Payload:
        return train_without(client, A)


def turned(params: State) -> State:
    """The parameters with every pair B, A replaced by U S, V^T of its product; signs are fixed."""
    fresh: State = {}
    for name in (name for name in params if A in name):
        other = name.replace(A, B)
        u, s, vt = orthonormal_factors(params[other].double(), params[name].double())
        fresh[other], fresh[name] = (u * s).to(params[other]), vt.to(params[name])
    return {**params, **fresh}
