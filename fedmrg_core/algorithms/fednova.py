"""FedNova (Wang et al., NeurIPS 2020, arXiv 2007.07481): hospitals that make more steps do not pull more: each delta is
divided by its number of steps, and the mean is scaled up again by the mean number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, Client, ServerState, Update, register
from fedmrg_core.codec import STATISTICS
from fedmrg_core.types import Payload, State

STEPS = "steps"


@register("fednova")
@dataclass(frozen=True)
class FedNova(Algorithm):
    """w += (sum of p_k steps_k) x (sum of p_k delta_k / steps_k), p_k the share of studies (their eq. 7, for SGD).

    Where all hospitals make as many steps (`train.local_steps`) it is FedAvg; they differ where a round is a number of
    epochs and hospitals differ in size, which is the default here. Under AdamW the number of steps is used as well: the
    paper defines no norm for it. Running statistics are averaged as in FedAvg.
    """

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        return {**payload, STEPS: {STEPS: torch.tensor([float(client.steps)])}}

    def upload_layout(self, server: ServerState) -> Payload:
        return {**super().upload_layout(server), STEPS: {STEPS: torch.zeros(1)}}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        steps = weight = 0.0

        def normalised(update: Update) -> tuple[State, float]:
            nonlocal steps, weight
            own = float(update.payload[STEPS][STEPS])
            steps, weight = steps + update.weight * own, weight + update.weight
            return scaled(update.payload["delta"], 1.0 / max(own, 1.0)), update.weight

        mean = tree.weighted_mean(map(normalised, updates))
        return self.server_step(server, scaled(mean, steps / weight))


def scaled(delta: State, factor: float) -> State:
    """The delta times a factor; running statistics as they are."""
    return {name: tensor if name.endswith(STATISTICS) else factor * tensor for name, tensor in delta.items()}
