"""FedALT (Bian et al., AAAI 2026, arXiv 2503.11880): each hospital trains an adapter of its own beside the frozen mean
of all others'; a gate mixes the two token by token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedmrg_core import tree
from fedmrg_core.adapter_names import adapter_of
from fedmrg_core.algorithms._factors import A, B, FactorMethod
from fedmrg_core.algorithms.base import Client, ClientState, ServerState, Update, register
from fedmrg_core.models.report_model import ReportModel, VisionOutput
from fedmrg_core.types import Payload, State

OTHERS, LOCAL = "generic", "specialised"
PAIR = "pair "
"""Groups of the server's memory: `pair h01` has the hospital's last factors, by the names of the others' adapter."""


@register("fedalt")
@dataclass(frozen=True)
class FedALT(FactorMethod):
    """W0 x + a s B_k A_k x + (1 - a) s B A x, where (a, 1 - a) = softmax(G x) and G is the hospital's own, one per
    adapted matrix, 0 at first. A and B are means of the other hospitals' factors, (K mean - own) / (K - 1), all alike;
    a hospital never restarts from a mean.

    Hospitals send their own pair, encoder and connector, and get the others' mean. Unseen hospitals get the mean of all
    pairs at 1/2, which is what a new gate gives it, and have no adapter of their own.
    """

    family = "two adapters"
    adapters = (OTHERS, LOCAL)
    weighting = "uniform"
    cost = "a gate per token and matrix"

    def configure_model(self, model: ReportModel, seed: int) -> None:
        super().configure_model(model, seed)
        layers: list[Any] = [m for m in model.modules() if hasattr(m, "base_layer")]
        for layer in layers:
            if LOCAL in layer.lora_A:
                add_gate(layer, self.scale)

    def is_shared(self, name: str) -> bool:
        return adapter_of(name) != LOCAL

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        return {OTHERS: 0.5} if client is None else {OTHERS: 1.0, LOCAL: 1.0}

    def study_weights(self, vision: VisionOutput, client: ClientState | None) -> dict[str, float]:
        """The gate weighs the adapters anew within each layer: no single adapter generates what both do."""
        return self.adapter_weights(client)

    # ---- server

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        return {"shared": {**server.params, **self.others(server, client_id)}}

    def others(self, server: ServerState, client_id: str) -> State:
        """The mean of all other hospitals' pairs; 0 while there is none."""
        count = sum(group.startswith(PAIR) for group in server.memory)
        own = server.memory.get(PAIR + client_id)
        mean = {name: tensor for name, tensor in server.params.items() if adapter_of(name) == OTHERS}
        if count == 0 or (own is not None and count == 1):
            return tree.zeros_like(mean)
        if own is None:
            return mean
        return {n: ((count * t.double() - own[n].double()) / (count - 1)).to(t) for n, t in mean.items()}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        pairs: Payload = {}

        def watch(update: Update) -> Update:
            received, delta = self.others(server, update.client_id), update.payload["delta"]
            pairs[PAIR + update.client_id] = {name: tensor + delta[name] for name, tensor in received.items()}
            return update

        moved = super().aggregate(server, map(watch, updates), rng)
        memory = {**server.memory, **pairs}
        mean = tree.weighted_mean((memory[group], 1.0) for group in sorted(memory) if group.startswith(PAIR))
        return replace(moved.moved({**moved.params, **mean}), memory=memory)

    # ---- client

    def client_round(self, client: Client) -> Payload:
        """The delta of the others' adapter leads from it to the hospital's own pair."""
        client.fit(parts=lambda name: adapter_of(name) != OTHERS)
        delta = client.delta()
        for name, own in client.personal().items():
            if A in name or B in name:
                other = name.replace(f".{LOCAL}.", f".{OTHERS}.")
                delta[other].copy_(own.detach() - client.received["shared"][other])
        return {"delta": delta}


def add_gate(layer: Any, scale: float) -> None:
    """Give a LoRA layer its G [2, in], which scales its two adapters wherever both are active."""
    gate = nn.Linear(layer.in_features, 2, bias=False)
    nn.init.zeros_(gate.weight)
    layer.lora_gate = nn.ModuleDict({LOCAL: gate})
    layer.register_forward_pre_hook(partial(_open, scale))
    layer.register_forward_hook(partial(_close, scale))


def _open(scale: float, layer: Any, args: tuple[Tensor, ...]) -> None:
    if {OTHERS, LOCAL} <= set(layer.active_adapters):
        share = torch.softmax(layer.lora_gate[LOCAL](args[0]), dim=-1)
        layer.scaling.update({LOCAL: scale * share[..., :1], OTHERS: scale * share[..., 1:]})


def _close(scale: float, layer: Any, args: tuple[Tensor, ...], output: Tensor) -> None:
    if isinstance(layer.scaling[LOCAL], Tensor):
        layer.scaling.update({LOCAL: scale, OTHERS: scale})
