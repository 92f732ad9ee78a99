"""FedNova: with equal steps it is FedAvg; with unequal ones it goes where their drift is taken out."""

from __future__ import annotations

import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fednova import FedNova
from tests.stub import POINTS, STATISTIC, E, StubRun, means


def test_with_equal_steps_it_is_fedavg() -> None:
    train = {"local_steps": 3}
    torch.testing.assert_close(StubRun(FedNova(), train).server.params, StubRun(Algorithm(), train).server.params)


def test_one_round_by_hand() -> None:
    """Every study of a hospital is its mean m_k, and a batch is one study: two epochs are 8, 4 and 2 steps, after t of
    which a client is at (1 - (1 - a)^t) m_k."""
    points = {"h01": [(2.0, 1.0)] * 4, "h02": [(-2.0, 2.0)] * 2, "h03": [(0.0, -4.0)]}
    weights, steps, a = [4 / 7, 2 / 7, 1 / 7], [8, 4, 2], 0.1
    deltas = [(1 - (1 - a) ** t) * torch.tensor(own[0]) for t, own in zip(steps, points.values(), strict=True)]
    mean_steps = sum(w * t for w, t in zip(weights, steps, strict=True))
    expected = mean_steps * sum(w * d / t for w, d, t in zip(weights, deltas, steps, strict=True))
    run = StubRun(FedNova(), {"rounds": 1, "batch_size": 1, "lr": a}, points)
    torch.testing.assert_close(run.server.params[E], expected)


def test_unequal_steps_leave_the_weighted_optimum_under_fedavg_and_hardly_here() -> None:
    """The mean loss over all studies is least at the mean study. One study per batch: 4, 2 and 1 steps per epoch."""
    points = {name: [tuple(mean.tolist())] * len(POINTS[name]) for name, mean in means().items()}
    best = torch.tensor([p for own in points.values() for p in own]).mean(dim=0)
    train = {"rounds": 20, "batch_size": 1, "local_epochs": 2, "lr": 0.1}
    fedavg, fednova = (StubRun(a, train, points).server.params[E] - best for a in (Algorithm(), FedNova()))
    assert float(fednova.norm()) < float(fedavg.norm()) / 2


def test_running_statistics_are_averaged_and_four_bytes_more_travel() -> None:
    plain, ours = (StubRun(a, {"rounds": 1}, statistic=True) for a in (Algorithm(), FedNova()))
    assert ours.server.params[STATISTIC].equal(plain.server.params[STATISTIC])
    assert ours.logs[0].row["upload_bytes"] == plain.logs[0].row["upload_bytes"] + 3 * 4
