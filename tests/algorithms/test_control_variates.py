"""The interface carries SCAFFOLD (Karimireddy et al., ICML 2020): steps, lr, a second group up and down, uniform
weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, Client, ServerState, Update
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload, State
from tests.stub import E, StubRun
from tests.stub import means as means_of


@dataclass(frozen=True)
class Uniform(Algorithm):
    weighting: ClassVar[Literal["size", "uniform"]] = "uniform"


@dataclass(frozen=True)
class Scaffold(Uniform):
    """Option II: c_k+ = c_k - c + (w - y_k) / (steps x lr), as the loss term <y, c - c_k>."""

    def init_server(self, params: State, num_clients: int) -> ServerState:
        return ServerState(params, {"control": tree.zeros_like(params)})

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        return {**super().broadcast(server, client_id), "control": server.memory["control"]}

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        own, common = client.memory.get("control"), client.received["control"]
        loss = super().local_loss(client, batch)
        for name, y in client.shared().items():
            if own is not None:
                loss = loss + (y * (common[name] - own[name])).sum()
        return loss

    def client_round(self, client: Client) -> Payload:
        own = client.memory.get("control") or tree.zeros_like(client.received["control"])
        client.fit()
        delta = client.delta()
        change = tree.add(tree.zeros_like(delta), client.received["control"], scale=-1.0)
        change = tree.add(change, delta, scale=-1.0 / (client.steps * client.lr))
        client.memory["control"] = tree.add(own, change)
        return {"delta": delta, "control": change}

    def upload_layout(self, server: ServerState) -> Payload:
        return {**super().upload_layout(server), "control": server.params}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        changes: list[tuple[State, float]] = []

        def watch(update: Update) -> Update:
            changes.append((update.payload["control"], 1.0))
            return update

        server = super().aggregate(server, map(watch, updates), rng)
        control = tree.add(server.memory["control"], tree.weighted_mean(changes))
        return replace(server, memory={"control": control})


POINTS = {"h01": [(2.0, 1.0)] * 8, "h02": [(-2.0, 2.0)] * 2, "h03": [(0.0, -4.0)]}
"""Every study of a hospital is its mean, so that a batch's gradient is exact; 8, 2 and 2 steps per round."""
TRAIN = {"batch_size": 2, "local_epochs": 2}


def test_round_1_is_fedavg_to_the_bit() -> None:
    runs = [StubRun(algorithm, {**TRAIN, "rounds": 1}, POINTS).server.params for algorithm in (Scaffold(), Uniform())]
    assert all(runs[0][name].equal(runs[1][name]) for name in runs[0])


def test_with_everyone_taking_part_the_servers_variate_is_the_clients_mean() -> None:
    run = StubRun(Scaffold(), {**TRAIN, "rounds": 3}, POINTS)
    own = [run.private(client)["memory:control"] for client in POINTS]
    for name, control in run.server.memory["control"].items():
        torch.testing.assert_close(control, torch.stack([state[name] for state in own]).mean(dim=0))


def test_unequal_steps_drift_under_fedavg_and_not_here() -> None:
    """The mean of the three losses is least at the mean of the hospitals' means; FedAvg weighs them by their steps."""
    best = torch.stack(list(means_of(POINTS).values())).mean(dim=0)
    train = {**TRAIN, "rounds": 40, "lr": 0.2}
    fedavg, scaffold = (StubRun(a, train, POINTS).server.params[E] for a in (Uniform(), Scaffold()))
    torch.testing.assert_close(scaffold, best, atol=1e-4, rtol=0)
    assert float((fedavg - best).norm()) > 0.2
