"""The interface carries FedEx-LoRA (Singhal et al., ACL 2025): the server's memory changes the frozen base, in
training and in scoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, ClientState, ServerState, Update
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.types import Payload, State
from tests.stub import A, B, E, StubRun, W, written

FACTORS = B.format("generic"), A.format("generic")
LORA = Tuning("lora", rank=2, alpha=4.0)


@dataclass(frozen=True)
class FedEx(Algorithm):
    """A and B are averaged; what that misses of the mean product, s (mean(B A) - mean(B) mean(A)), joins the base."""

    tuning: Tuning = LORA

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        return {**super().broadcast(server, client_id), **server.memory}

    def client_round(self, client: Client) -> Payload:
        for name, change in client.received.get("residual", {}).items():
            client.load({name: client.model.get_parameter(name) + change})
        return super().client_round(client)

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        products: list[Tensor] = []

        def watch(update: Update) -> Update:
            b, a = (server.params[name] + update.payload["delta"][name] for name in FACTORS)
            products.append(update.weight / 7 * b @ a)
            return update

        before, moved = server, super().aggregate(server, map(watch, updates), rng)
        scale = self.tuning.alpha / self.tuning.rank
        residual = scale * (sum(products, torch.zeros(3, 2)) - moved.params[FACTORS[0]] @ moved.params[FACTORS[1]])
        old = before.memory.get("residual", {W: torch.zeros(3, 2)})[W]
        return replace(moved, memory={"residual": {W: old + residual}})

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        residual = server.memory.get("residual", {})
        return {**server.params, **{name: base[name] + change for name, change in residual.items()}}


def test_the_applied_update_is_the_mean_product() -> None:
    """One round: W0 + residual + s mean(B) mean(A) = W0 + s mean(B A), which a run of each client alone gives."""
    run = StubRun(FedEx(), {"rounds": 1})
    products = []
    for client, weight in zip(("h01", "h02", "h03"), (4, 2, 1), strict=True):
        alone = StubRun(Algorithm(tuning=LORA), {"rounds": 1}, {client: run.points[client]}).server.params
        products.append(weight / 7 * 2.0 * alone[FACTORS[0]] @ alone[FACTORS[1]])
    whole = sum(products, torch.zeros(3, 2))
    applied = run.server.memory["residual"][W] + 2.0 * run.server.params[FACTORS[0]] @ run.server.params[FACTORS[1]]
    torch.testing.assert_close(applied, whole)
    assert run.server.memory["residual"][W].abs().max() > 1e-3


def test_scoring_sees_the_changed_base_and_the_worker_gets_its_own_back() -> None:
    run = StubRun(FedEx())
    product = 2.0 * (run.server.params[FACTORS[0]] @ run.server.params[FACTORS[1]])
    expected = written(run.server.params[E], run.server.memory["residual"][W] + product)
    assert run.reports()["test", "global", "h01"][0] == expected
    run.worker.start_from({})
    assert run.worker.model.get_parameter(W).abs().sum() == 0
