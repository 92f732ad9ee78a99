"""FedDyn (Acar et al., ICLR 2021, arXiv 2111.04263): each client's loss gets a linear and a quadratic term, by which
all local optima come to agree with the global one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, Client, ClientState, ServerState, Update, register
from fedmrg_core.codec import STATISTICS
from fedmrg_core.errors import choose, in_range
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload, State

HISTORY, CLIENTS = "history", "clients"


@register("feddyn")
@dataclass(frozen=True)
class FedDyn(Algorithm):
    """Client: f_k(y) + alpha <y, h_k> + alpha/2 |y - w|^2, then h_k += y - w. Server: w = mean of the cohort's y + mean
    of all clients' h (their algorithm 1, with h = -gradient / alpha).

    alpha: weight of both terms; at 0 clients train as in FedAvg. It has to be large enough that a client nearly reaches
    its optimum in a round, or the h grow without bound. The paper takes 0.001 to 0.1 with SGD at 0.1. Both terms are in
    the loss, because AdamW's weight decay is no gradient. scored: "server" generates with w, as the paper; "mean" with
    the mean of the last cohort's y, which is better in early rounds. Running statistics are averaged as in FedAvg.
    """

    alpha: float = 0.1
    scored: str = "server"

    weighting = "uniform"
    keeps = (HISTORY,)

    def __post_init__(self) -> None:
        in_range("algorithm.alpha", self.alpha, 0)
        choose("algorithm.scored", self.scored, ("server", "mean"))

    # ---- server

    def init_server(self, params: State, num_clients: int) -> ServerState:
        count = {"count": torch.tensor(float(num_clients))}
        return ServerState(params, {HISTORY: tree.zeros_like(params), CLIENTS: count})

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        """history: the mean over all clients of h, to which absent ones contribute what they had."""
        present = 0

        def counted(update: Update) -> tuple[State, float]:
            nonlocal present
            present += 1
            return update.payload["delta"], update.weight

        mean = tree.weighted_mean(map(counted, updates))
        share = present / float(server.memory[CLIENTS]["count"])
        history = tree.add(server.memory[HISTORY], without_statistics(mean), scale=share)
        moved = server.moved(tree.add(tree.add(server.params, mean), history))
        return replace(moved, memory={**server.memory, HISTORY: history})

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        if self.scored == "server":
            return server.params
        return tree.add(server.params, server.memory[HISTORY], scale=-1.0)

    # ---- client

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        history = client.memory.get(HISTORY, {})
        fresh = without_statistics(payload["delta"])
        client.memory[HISTORY] = {n: history[n].cpu() + t if history else t.clone() for n, t in fresh.items()}
        return payload

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        start, history = client.received["shared"], client.memory.get(HISTORY, {})
        terms = [0.5 * (y - start[name]).square().sum() for name, y in client.shared().items()]
        terms += [(y * history[name]).sum() for name, y in client.shared().items() if history]
        term = torch.stack(terms).sum()
        client.log("dynamic", term)
        return super().local_loss(client, batch) + self.alpha * term


def without_statistics(state: State) -> State:
    """The state without running statistics."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(STATISTICS)}
