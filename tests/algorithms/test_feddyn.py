"""FedDyn: a first round without its terms is FedAvg's, and exact local solves reach the optimum of the mean loss, where
alpha h is the negative local gradient."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.feddyn import FedDyn
from tests.stub import POINTS, STATISTIC, E, StubRun, W, means, written

EXACT = {"local_steps": 12, "batch_size": 4, "lr": 0.6}
"""Full batches, until a client's loss is at its least."""


@dataclass(frozen=True)
class Uniform(Algorithm):
    """FedAvg with equal weights."""

    weighting = "uniform"


def history(run: StubRun, client: str) -> Tensor:
    return run.private(client)["memory:history"][E]


def test_at_alpha_0_the_first_rounds_mean_is_fedavgs() -> None:
    """w = mean y + mean h, and after one round from 0 both are the mean delta."""
    plain = StubRun(Uniform(), {"rounds": 1}, statistic=True).server.params
    run = StubRun(FedDyn(alpha=0.0, scored="mean"), {"rounds": 1}, statistic=True)
    torch.testing.assert_close(run.server.params[E], 2 * plain[E])
    assert run.server.params[STATISTIC].equal(plain[STATISTIC])
    scored = run.algorithm.eval_params(run.server, None, {})
    assert all(scored[name].equal(plain[name]) for name in plain)
    assert run.reports()["unseen", "global", "h09"][0] == written(plain[E], plain[W])


def test_two_rounds_of_exact_solves_by_hand() -> None:
    """y = (m + alpha (w - h)) / (1 + alpha); round 1 from w = 0 and h = 0, then w = mean y + mean h = 2 mean y."""
    alpha, m = 0.5, means()
    first = {name: mean / (1 + alpha) for name, mean in m.items()}
    w = 2 * torch.stack(list(first.values())).mean(dim=0)
    second = {name: (m[name] + alpha * (w - first[name])) / (1 + alpha) for name in m}
    h = {name: first[name] + second[name] - w for name in m}
    run = StubRun(FedDyn(alpha=alpha), {**EXACT, "rounds": 2})
    torch.testing.assert_close(history(run, "h03"), h["h03"], atol=1e-5, rtol=0)
    expected = sum(second.values(), torch.zeros(2)) / 3 + sum(h.values(), torch.zeros(2)) / 3
    torch.testing.assert_close(run.server.params[E], expected, atol=1e-5, rtol=0)


def test_it_ends_at_the_optimum_of_the_mean_loss() -> None:
    alpha, best = 0.5, torch.stack(list(means().values())).mean(dim=0)
    run = StubRun(FedDyn(alpha=alpha), {**EXACT, "rounds": 30})
    torch.testing.assert_close(run.server.params[E], best, atol=1e-4, rtol=0)
    for client, mean in means().items():
        torch.testing.assert_close(alpha * history(run, client), mean - best, atol=1e-4, rtol=0)


@pytest.mark.parametrize("participation", [1.0, 0.67])
def test_the_servers_history_is_the_mean_of_all_clients(participation: float) -> None:
    run = StubRun(FedDyn(), {"rounds": 3, "participation": participation})
    own = [history(run, client) for client in POINTS if "memory:history" in run.private(client)]
    torch.testing.assert_close(run.server.memory["history"][E], torch.stack(own).sum(dim=0) / 3)


def test_no_more_travels_than_with_fedavg() -> None:
    plain, ours = (StubRun(a, {"rounds": 1}).logs[0].row for a in (Uniform(), FedDyn()))
    assert ours["upload_bytes"] == plain["upload_bytes"]
    assert ours["download_bytes"] == plain["download_bytes"]
