"""L-FedAvg: fedavg at equal losses or a large eps; else weights by n / (eps + loss)."""

from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.l_fedavg import LFedAvg
from tests.stub import POINTS, TRAIN, E, StubRun, means

ROUND = {"rounds": 1, "batch_size": 4, "local_steps": 1}


def test_equal_losses_and_a_large_eps_are_fedavg() -> None:
    equal = {"h01": POINTS["h03"], "h02": POINTS["h03"] * 2}
    for algorithm, points in ((LFedAvg(), equal), (LFedAvg(eps=1e9), POINTS)):
        ours, plain = StubRun(algorithm, points=points), StubRun(Algorithm(), points=points)
        torch.testing.assert_close(ours.server.params, plain.server.params)


def test_one_round_by_hand() -> None:
    """Full step a from 0: hospital k ends at a m_k, and its loss was 4 mean |x|^2 / 2 (e and the three rows of W)."""
    run = StubRun(LFedAvg(eps=0.5), ROUND)
    losses = {client: 2.0 * torch.tensor(own).square().sum(dim=1).mean() for client, own in POINTS.items()}
    weights = {client: len(own) / (0.5 + losses[client]) for client, own in POINTS.items()}
    mean = sum((weights[c] * m for c, m in means().items()), torch.zeros(2)) / sum(weights.values())
    torch.testing.assert_close(run.server.params[E], TRAIN.lr * mean)
    assert run.logs[0].row["loss"] == pytest.approx(sum(len(POINTS[c]) * float(loss) for c, loss in losses.items()) / 7)
