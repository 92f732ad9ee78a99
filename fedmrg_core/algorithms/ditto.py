"""Ditto (Li et al., ICML 2021, arXiv 2012.04221): beside FedAvg, each hospital trains a model of its own that is pulled
towards the received one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedmrg_core.algorithms._own_model import OWN, OwnModel
from fedmrg_core.algorithms.base import Client, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload


@register("ditto")
@dataclass(frozen=True)
class Ditto(OwnModel):
    """Own model: f_k(v) + lam/2 |v - w|^2 on the same batches as the shared one; w is the received model.

    lam: 0 trains the own model on the hospital's data alone; the larger, the closer it stays to w. The paper takes 0.1
    to 2, chosen on validation. The personal view scores v; hospitals that never took part get w, which is FedAvg's, bit
    by bit.
    """

    lam: float = 0.1

    cost = "as many steps again"

    def __post_init__(self) -> None:
        in_range("algorithm.lam", self.lam, 0)

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        client.load(client.memory.get(OWN) or client.received["shared"])
        client.fit(loss=self.own_loss)
        client.memory[OWN] = client.state()
        return payload

    def client_adapt(self, client: Client, steps: int) -> None:
        client.fit(loss=self.own_loss, steps=steps)
        client.memory[OWN] = client.state()

    def own_loss(self, client: Client, batch: Batch) -> Tensor:
        """The loss of the own model."""
        received = client.received["shared"]
        distance = torch.stack([(v - received[n]).square().sum() for n, v in client.shared().items()]).sum()
        return self.local_loss(client, batch) + 0.5 * self.lam * distance
