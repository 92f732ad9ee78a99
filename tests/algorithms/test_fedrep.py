"""FedPer and FedRep: without a head they are FedAvg; the head stays at home, in FedRep trained before the body."""

from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fedper import FedPer
from fedmrg_core.algorithms.fedrep import FedRep
from tests.stub import POINTS, E, StubRun, W, means, written

HEAD = ("encoder.",)


@pytest.mark.parametrize("algorithm", [FedPer(head=("nothing.",)), FedRep(head=("nothing.",))])
def test_without_a_head_it_is_fedavg_to_the_bit(algorithm: Algorithm) -> None:
    ours, plain = StubRun(algorithm).server.params, StubRun(Algorithm()).server.params
    assert all(ours[name].equal(tensor) for name, tensor in plain.items())


@pytest.mark.parametrize("algorithm", [FedPer(head=HEAD), FedRep(head=HEAD, head_epochs=2)])
def test_the_head_stays_at_home_and_the_body_is_fedavgs(algorithm: Algorithm) -> None:
    """On the stub e and W do not meet in the loss: e trains as at a hospital alone, W as in FedAvg."""
    run, plain = StubRun(algorithm), StubRun(Algorithm())
    assert set(run.server.params) == {W}
    assert {row["group"] for log in run.logs for row in log.ledger} == {"shared", "delta"}
    assert run.server.params[W].equal(plain.server.params[W])
    for client in POINTS:
        alone = StubRun(Algorithm(), points={client: POINTS[client]}).server.params
        torch.testing.assert_close(run.private(client)["personal"][E], alone[E])


def test_one_round_by_hand() -> None:
    """Full batches from 0 with step a: the head after 3 epochs is (1 - (1 - a)^3) m_k, the body after 1 is a m_k."""
    a, train = 0.25, {"rounds": 1, "batch_size": 4, "local_epochs": 1, "lr": 0.25}
    run, m = StubRun(FedRep(head=HEAD, head_epochs=3), train), means()
    torch.testing.assert_close(run.private("h02")["personal"][E], (1 - (1 - a) ** 3) * m["h02"])
    weighted = sum((len(POINTS[name]) / 7 * a * m[name] for name in POINTS), torch.zeros(2))
    torch.testing.assert_close(run.server.params[W], weighted.expand(3, 2))
    assert run.logs[0].row["steps"] == 3 * (3 + 1)


def test_no_head_epochs_leave_the_head_as_it_was() -> None:
    run = StubRun(FedRep(head=HEAD, head_epochs=0))
    assert all(run.private(client)["personal"][E].abs().sum() == 0 for client in POINTS)


def test_a_hospital_is_scored_with_its_head_and_a_new_one_with_the_bases() -> None:
    run = StubRun(FedPer(head=HEAD), start={E: [0.5, -0.5]})
    reports = run.reports()
    own, body = run.private("h03")["personal"][E], run.server.params[W]
    assert reports["test", "personal", "h03"] == [written(own, body)] * 2
    assert reports["unseen", "global", "h09"] == [written(torch.tensor([0.5, -0.5]), body)] * 2
