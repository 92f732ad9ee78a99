"""SCAFFOLD (Karimireddy et al., ICML 2020, arXiv 1910.06378): control variates take the hospitals' drift out of each
step.

A client steps along g(y) - c_k + c: its own mean gradient is replaced by that of all. Here the correction is a term of
the loss, <y, c - c_k>, so that any optimiser follows it, and the new c_k is the mean of the raw gradients of the
round's batches. With SGD that is the paper's option II, (w - y) / (steps x lr) + c_k - c; with AdamW it still is a
gradient, which option II is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, Client, ServerState, Update, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload, State

CONTROL, CLIENTS = "control", "clients"
SUM = "sum of gradients: "
"""In `client.scratch`, before a parameter's name."""


@register("scaffold")
@dataclass(frozen=True)
class Scaffold(Algorithm):
    """FedAvg with corrected gradients; all c are 0 at first, so that the first round is FedAvg's.

    server_lr: step of the server along the mean delta; 1 takes all of it. Clipping (`train.clip_norm`) sees the
    corrected gradient.
    """

    server_lr: float = 1.0

    weighting = "uniform"
    keeps = (CONTROL,)

    def __post_init__(self) -> None:
        in_range("algorithm.server_lr", self.server_lr, 0, above=True)

    # ---- server

    def init_server(self, params: State, num_clients: int) -> ServerState:
        count = {"count": torch.tensor(float(num_clients))}
        return ServerState(params, {CONTROL: tree.zeros_like(params), CLIENTS: count})

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        return {**super().broadcast(server, client_id), CONTROL: server.memory[CONTROL]}

    def upload_layout(self, server: ServerState) -> Payload:
        return {**super().upload_layout(server), CONTROL: server.params}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        """w += server_lr mean(delta), and c += (1 / K) sum of the changes of the cohort's c_k."""
        control, share = server.memory[CONTROL], 1.0 / float(server.memory[CLIENTS]["count"])

        def watch(update: Update) -> Update:
            nonlocal control
            control = tree.add(control, update.payload[CONTROL], scale=share)
            return update

        server = super().aggregate(server, map(watch, updates), rng)
        return replace(server, memory={**server.memory, CONTROL: control})

    def server_step(self, server: ServerState, mean_delta: State) -> ServerState:
        return server.moved(tree.add(server.params, mean_delta, scale=self.server_lr))

    # ---- client

    def client_round(self, client: Client) -> Payload:
        common = client.received[CONTROL]
        own = client.memory.get(CONTROL) or tree.zeros_like(common)
        with summed_gradients(client):
            steps = client.fit()
        sums = {name: client.scratch[key] for name in common if (key := SUM + name) in client.scratch}
        fresh = {n: sums[n] / steps - (common[n] - own[n]) if n in sums else own[n] for n in common}
        client.memory[CONTROL] = fresh
        change = {name: (tensor - own[name]).cpu() for name, tensor in fresh.items()}
        return {"delta": client.delta(), CONTROL: change}

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        """The task's loss, and <y, c - c_k> in its gradient only: the logged value stays the task's."""
        common, own = client.received[CONTROL], client.memory.get(CONTROL)
        loss = super().local_loss(client, batch)
        shifts = {name: common[name] - (own[name] if own else 0.0) for name in client.shared()}
        term = torch.stack([(y * shifts[name]).sum() for name, y in client.shared().items()]).sum()
        return loss + (term - term.detach())


@contextmanager
def summed_gradients(client: Client) -> Iterator[None]:
    """Inside the block every backward pass adds the gradients of the shared parameters, before clipping, to sums in
    `client.scratch`, which forgets those of a batch that has to be repeated."""

    def add(key: str, gradient: Tensor) -> None:
        client.scratch[key] = client.scratch[key] + gradient if key in client.scratch else gradient.clone()

    hooks: list[Any] = [p.register_hook(partial(add, SUM + name)) for name, p in client.shared().items()]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
