"""FedRep (Collins et al., ICML 2021, arXiv 2102.07078): each hospital first fits its own head to the shared body, then
the body to its head."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms.base import Client, register
from fedmrg_core.algorithms.fedper import FedPer
from fedmrg_core.errors import in_range
from fedmrg_core.types import Payload


@register("fedrep")
@dataclass(frozen=True)
class FedRep(FedPer):
    """FedPer in two steps, each with an optimiser of its own; the other half does not move.

    head_epochs: epochs of the head, before the body's (`train.local_epochs`); 0 leaves the head as the base has it. The
    authors' code takes 4.
    """

    head_epochs: int = 1

    cost = "head_epochs epochs of the head"

    def __post_init__(self) -> None:
        in_range("algorithm.head_epochs", self.head_epochs, 0)

    def client_round(self, client: Client) -> Payload:
        client.fit(parts=lambda name: not self.is_shared(name), epochs=self.head_epochs)
        client.fit(parts=self.is_shared)
        return {"delta": client.delta()}
