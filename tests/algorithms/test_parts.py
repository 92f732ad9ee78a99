"""The interface carries FedRep (Collins et al., ICML 2021): head first, then body, each with its own optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fedmrg_core.algorithms.base import Algorithm, Client
from fedmrg_core.types import Payload
from tests.stub import POINTS, E, StubRun, W


@dataclass(frozen=True)
class FedRep(Algorithm):
    """head: prefixes of personal parameters. head_epochs: epochs on them before the body's one."""

    head: tuple[str, ...] = ("encoder.",)
    head_epochs: int = 3

    def is_shared(self, name: str) -> bool:
        return not (self.head and name.startswith(self.head))

    def client_round(self, client: Client) -> Payload:
        client.fit(parts=self.head, epochs=self.head_epochs)
        client.fit(parts=lambda name: self.is_shared(name), epochs=1)
        return {"delta": client.delta()}


def test_without_a_head_it_is_fedavg_to_the_bit() -> None:
    rep, plain = StubRun(FedRep(head=())), StubRun(Algorithm(), {"local_epochs": 1})
    assert all(rep.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())


def test_the_head_stays_at_home_and_learns_its_own_mean() -> None:
    run = StubRun(FedRep(), {"rounds": 40})
    assert set(run.server.params) == {W}
    assert {row["group"] for log in run.logs for row in log.ledger} == {"shared", "delta"}
    heads = {client: run.private(client)["personal"][E] for client in POINTS}
    torch.testing.assert_close(heads["h02"], torch.tensor([-2.0, 2.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(heads["h03"], torch.tensor([0.0, -4.0]), atol=1e-3, rtol=0)
    assert run.reports()["test", "personal", "h03"][0].startswith("e = [0.0, -3.99")


def test_no_head_epochs_leave_the_head_and_move_the_body_as_fedavg() -> None:
    run, plain = StubRun(FedRep(head_epochs=0)), StubRun(Algorithm(), {"local_epochs": 1})
    assert all(run.private(client)["personal"][E].abs().sum() == 0 for client in POINTS)
    assert run.server.params[W].equal(plain.server.params[W])
