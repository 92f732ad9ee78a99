"""MOON (Li et al., CVPR 2021, arXiv 2103.16257): a contrast pulls a film's features towards those of the received model
and away from those of the hospital's previous one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmrg_core.algorithms.base import Algorithm, Client, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.types import Payload, State

PREVIOUS, ENCODER = "previous", "encoder."


@register("moon")
@dataclass(frozen=True)
class Moon(Algorithm):
    """FedAvg with loss + mu x contrast (their eq. 3); z is the mean patch feature of the encoder, without a projection
    head. The previous model is the one with which the hospital ended its last round.

    mu: 0 is FedAvg, bit by bit, and so is a hospital's first round, where both models are one and the contrast is
    constant. The paper takes 1 to 10. temperature: of the contrast; small values look at the sign only. All three
    features are made in the same mode (training), so that equal models give equal features.
    """

    mu: float = 1.0
    temperature: float = 0.5

    keeps = (PREVIOUS,)
    cost = "two more passes of the encoder"

    def __post_init__(self) -> None:
        in_range("algorithm.mu", self.mu, 0)
        in_range("algorithm.temperature", self.temperature, 0, above=True)

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        if self.mu > 0:
            client.memory[PREVIOUS] = of_encoder(client.state())
        return payload

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        vision = client.model.encode(batch.images)
        loss = client.model.decode(batch, vision.prefix, None, self.adapters).loss
        if self.mu == 0 or PREVIOUS not in client.memory:
            return loss
        received = features(client.model, client.received["shared"], batch.images)
        previous = features(client.model, client.memory[PREVIOUS], batch.images)
        contrast = model_contrast(vision.mean, received, previous, self.temperature)
        client.log("contrast", contrast)
        return loss + self.mu * contrast


def model_contrast(z: Tensor, received: Tensor, previous: Tensor, temperature: float) -> Tensor:
    """-log of the softmax of cos(z, received) among it and cos(z, previous), mean over a batch of features [B, C]."""
    z, received, previous = (F.normalize(features.float(), dim=-1) for features in (z, received, previous))
    nearer = (z * previous).sum(dim=-1) - (z * received).sum(dim=-1)
    return F.softplus(nearer / temperature).mean()


@torch.no_grad()
def features(model: ReportModel, state: State, images: Tensor) -> Tensor:
    """Mean patch features [B, C] by the model with the encoder of `state`; no statistic of either moves."""
    buffers = {name: tensor.clone() for name, tensor in model.named_buffers()}
    other = {n: t.clone() if n in buffers else t for n, t in of_encoder(state).items()}
    given = {f"model.{name}": tensor for name, tensor in {**buffers, **other}.items()}
    mean: Tensor = torch.func.functional_call(MeanFeatures(model), given, (images,))
    return mean


class MeanFeatures(nn.Module):
    """The encoder's mean patch feature as a module's forward pass."""

    def __init__(self, model: ReportModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode(images).mean


def of_encoder(state: State) -> State:
    """The encoder's part of a state."""
    return {name: tensor for name, tensor in state.items() if name.startswith(ENCODER)}
