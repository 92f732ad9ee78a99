"""FedProx (Li et al., MLSys 2020): a proximal term pulls each client towards the model it received."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch


@register("fedprox")
@dataclass(frozen=True)
class FedProx(Algorithm):
    """FedAvg with loss + mu/2 |w - w_t|^2 over the shared parameters (their eq. 2).

    mu: 0 is FedAvg, bit by bit; the larger, the less a client moves. The paper searches 0.001 to 1.
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        in_range("algorithm.mu", self.mu, 0)

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        loss = super().local_loss(client, batch)
        if self.mu == 0:
            return loss
        start = client.received["shared"]
        distance = torch.stack([(w - start[name]).square().sum() for name, w in client.shared().items()]).sum()
        client.log("proximal", distance)
        return loss + 0.5 * self.mu * distance
