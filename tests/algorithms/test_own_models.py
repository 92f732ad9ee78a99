"""The interface carries Ditto (Li et al., ICML 2021): a second fit with another loss, and a model of the client's own
that is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, ClientState, ServerState
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload, State
from tests.stub import POINTS, E, StubRun, W, written


@dataclass(frozen=True)
class Ditto(Algorithm):
    """lam: pull of the own model towards the received one."""

    lam: float = 1.0

    def client_round(self, client: Client) -> Payload:
        client.fit()
        delta = client.delta()
        client.load(client.memory.get("own") or client.received["shared"])
        client.fit(loss=self.own_loss)
        client.memory["own"] = client.state()
        return {"delta": delta}

    def own_loss(self, client: Client, batch: Batch) -> Tensor:
        received = client.received["shared"]
        distance = torch.stack([(v - received[n]).square().sum() for n, v in client.shared().items()]).sum()
        return self.local_loss(client, batch) + 0.5 * self.lam * distance

    def has_personal_view(self, client: ClientState) -> bool:
        return "own" in client.memory

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        return server.params if client is None else {**server.params, **client.memory["own"]}


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_global_model_is_fedavgs_to_the_bit(lam: float) -> None:
    ditto, plain = StubRun(Ditto(lam=lam)).server.params, StubRun(Algorithm()).server.params
    assert all(ditto[name].equal(tensor) for name, tensor in plain.items())


def test_lambda_0_is_training_alone_on_the_same_batches() -> None:
    run = StubRun(Ditto(lam=0.0))
    for client in POINTS:
        alone = StubRun(Algorithm(), points={client: POINTS[client]}).server.params
        torch.testing.assert_close(run.private(client)["memory:own"], alone)


def test_the_own_model_ends_between_its_data_and_the_received_one() -> None:
    """With one hospital of mean m the received model tends to m too; from there (m + lam w) / (1 + lam) = m."""
    run = StubRun(Ditto(lam=2.0), {"rounds": 60, "batch_size": 4}, {"h01": POINTS["h01"]})
    torch.testing.assert_close(run.private("h01")["memory:own"][E], torch.tensor([2.0, 1.0]), atol=1e-3, rtol=0)


def test_both_fits_are_counted_and_the_second_has_its_own_loss_in_the_row() -> None:
    ditto, plain = (StubRun(algorithm).logs[0].row for algorithm in (Ditto(), Algorithm()))
    assert (ditto["steps"], ditto["studies"]) == (2 * plain["steps"], 2 * plain["studies"])
    assert ditto["loss"] == plain["loss"] != ditto["own_loss"]
    assert ditto["upload_bytes"] == plain["upload_bytes"]


def test_the_personal_view_scores_the_own_model_and_the_global_view_the_servers() -> None:
    run = StubRun(Ditto())
    reports: dict[Any, list[str]] = run.reports()
    of_server = written(run.server.params[E], run.server.params[W])
    assert {reports["test", "global", client][0] for client in POINTS} == {of_server}
    assert reports["unseen", "global", "h09"][0] == of_server
    for client in POINTS:
        own = run.private(client)["memory:own"]
        assert reports["test", "personal", client] == [written(own[E], own[W])] * 2
