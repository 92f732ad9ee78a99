"""Style tokens as in Fed-BLIP (CTPA reports, github.com/zzs95/FedBLIP): each hospital has tokens of its own beside the
film's, and its films are pulled to a style centre of its own, away from the other hospitals' centres."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmrg_core.algorithms.base import Client, ServerState, Update, register
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx, training_prompts
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.models.soft_tokens import add_soft_tokens
from fedmrg_core.types import Payload

CENTRES, CENTRE = "centres", "centre"
NEAR, APART, DECAY = 0.9, 0.5, 0.95
"""Margins of the cosine to the own centre and of the distance to others', and a centre's memory: as in their code."""


@register("fedblip-style")
@dataclass(frozen=True)
class FedBLIPStyle(FedLoRADx):
    """fedlora-dx with style tokens. c = the normalised mean patch feature of a batch, centre_k <- .95 centre_k + .05 c,
    L_style = .5 (relu(.9 - cos(c, centre_k)) + mean over others j of relu(.5 - (1 - cos(c, centre_j)))^2).

    tokens: how many, after the film's; they are the hospital's own and never travel. style_weight: of L_style; the
    authors' published loss leaves it out. With both 0 it is fedlora-dx, bit by bit. The centres travel. The authors
    project features to 64 numbers and keep the whole Q-Former personal; here the encoder's feature is the style, and
    all but the tokens is fedlora-dx's. Unseen hospitals get the tokens as they were drawn.
    """

    tokens: int = 4
    style_weight: float = 0.1

    family = "report-specific"

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.tokens", self.tokens, 0)
        in_range("algorithm.style_weight", self.style_weight, 0)

    def configure_model(self, model: ReportModel, seed: int) -> None:
        super().configure_model(model, seed)
        if self.tokens:
            add_soft_tokens(model, self.tokens, seed)

    def is_shared(self, name: str) -> bool:
        return not name.startswith("soft_tokens.")

    # ---- server

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        centres = server.memory.get(CENTRES)
        return {**super().broadcast(server, client_id), **({CENTRES: centres} if centres else {})}

    def upload_layout(self, server: ServerState) -> Payload:
        layout = super().upload_layout(server)
        if self.style_weight == 0:
            return layout
        return {**layout, CENTRE: {"mean": torch.zeros(server.params["connector.weight"].shape[1])}}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        centres = dict(server.memory.get(CENTRES, {}))

        def watch(update: Update) -> Update:
            if CENTRE in update.payload:
                centres[update.client_id] = update.payload[CENTRE]["mean"]
            return update

        moved = super().aggregate(server, map(watch, updates), rng)
        return replace(moved, memory={**moved.memory, CENTRES: centres} if centres else moved.memory)

    # ---- client

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        if self.style_weight == 0:
            return payload
        return {**payload, CENTRE: {"mean": client.scratch[CENTRE].cpu()}}

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        vision = client.model.encode(batch.images)
        prompts = training_prompts(client.model, vision, batch.states)
        reading = client.model.decode(batch, vision.prefix, prompts, ("generic",))
        loss = reading.loss + self.diagnosis_loss(client, vision, batch)
        return loss if self.style_weight == 0 else loss + self.style_weight * self.style(client, vision.mean)

    def style(self, client: Client, features: Tensor) -> Tensor:
        """L_style of a batch's features [B, C]; moves the hospital's centre."""
        c, centres = F.normalize(features.float().mean(dim=0), dim=0), client.received.get(CENTRES, {})
        before = client.scratch.get(CENTRE, centres.get(client.client_id, c.detach()))
        own = F.normalize(DECAY * before + (1 - DECAY) * c.detach(), dim=0)
        client.scratch[CENTRE] = own
        loss = style_loss(c, own, [mu for name, mu in sorted(centres.items()) if name != client.client_id])
        client.log("style", loss)
        return loss


def style_loss(c: Tensor, own: Tensor, others: list[Tensor]) -> Tensor:
    """L_style of unit vectors [C]."""
    loss = F.relu(NEAR - c @ own)
    if others:
        loss = loss + F.relu(APART - (1 - torch.stack(others) @ c)).square().mean()
    return 0.5 * loss
