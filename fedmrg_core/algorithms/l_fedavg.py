"""L-FedAvg (arXiv 2505.21715, report generation with ViT and GPT-2): hospitals whose loss is low weigh more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, ServerState, Update, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload

LOSS = "loss"


@register("l-fedavg")
@dataclass(frozen=True)
class LFedAvg(Algorithm):
    """p_k is proportional to n_k / (eps + loss_k); the formula is ours, as the paper's was not at hand.

    loss_k is the mean training loss of the hospital's round: a client's script sees no validation studies. eps: the
    larger, the closer to fedavg; equal losses are fedavg.
    """

    eps: float = 0.1

    family = "report-specific"

    def __post_init__(self) -> None:
        in_range("algorithm.eps", self.eps, 0, above=True)

    def upload_layout(self, server: ServerState) -> Payload:
        return {**super().upload_layout(server), LOSS: {"mean": torch.zeros(())}}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        def weigh(update: Update) -> Update:
            return replace(update, weight=update.weight / (self.eps + float(update.payload[LOSS]["mean"])))

        return super().aggregate(server, map(weigh, updates), rng)

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        total, count = (client.scratch.get(name, torch.zeros(())).float().cpu() for name in ("total", "count"))
        return {**payload, LOSS: {"mean": total / count.clamp_min(1)}}

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        loss = super().local_loss(client, batch)
        for name, value in (
            ("total", loss.detach() * len(batch.images)),
            ("count", loss.new_tensor(len(batch.images))),
        ):
            client.scratch[name] = client.scratch[name] + value if name in client.scratch else value
        return loss
