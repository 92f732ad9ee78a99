"""FedProx: mu = 0 is FedAvg to the bit, and a proximal step worked out by hand."""

from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fedprox import FedProx
from tests.stub import POINTS, E, StubRun, means

ALONE = {"h01": POINTS["h01"]}
START = {E: [1.0, -1.0]}


def test_mu_0_is_fedavg_to_the_bit() -> None:
    plain, prox = StubRun(Algorithm()).server.params, StubRun(FedProx(mu=0.0)).server.params
    assert all(plain[name].equal(prox[name]) for name in plain)


@pytest.mark.parametrize("mu", [0.01, 0.5])
def test_two_steps_by_hand(mu: float) -> None:
    """Full batches of mean m, from w, SGD with step a; the gradient at y is (y - m) + mu (y - w).

    y1 = w + a (m - w), where the proximal gradient is 0.
    y2 = y1 - a [(y1 - m) + mu (y1 - w)] = w + (m - w) (2a - a^2 (1 + mu)).
    """
    a, w, m = 0.25, torch.tensor(START[E]), means()["h01"]
    run = StubRun(FedProx(mu=mu), {"rounds": 1, "local_steps": 2, "batch_size": 4, "lr": a}, ALONE, START)
    torch.testing.assert_close(run.server.params[E], w + (m - w) * (2 * a - a**2 * (1 + mu)))


def test_many_steps_end_where_both_pulls_are_equal() -> None:
    """(y - m) + mu (y - w) = 0 at y = (m + mu w) / (1 + mu)."""
    mu, w, m = 2.0, torch.tensor(START[E]), means()["h01"]
    run = StubRun(FedProx(mu=mu), {"rounds": 1, "local_steps": 200, "batch_size": 4}, ALONE, START)
    torch.testing.assert_close(run.server.params[E], (m + mu * w) / (1 + mu))


def test_the_row_shows_the_squared_distance_over_the_steps() -> None:
    """After one step of 0.1 from 0 all four vectors are at 0.1 m, |m|^2 = 5; the mean over two steps is half of it."""
    run = StubRun(FedProx(mu=0.1), {"rounds": 1, "local_steps": 2, "batch_size": 4}, ALONE)
    assert run.logs[0].row["proximal"] == pytest.approx(4 * 0.1**2 * 5 / 2)
