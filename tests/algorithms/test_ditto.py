"""Ditto: its shared model is FedAvg's, its own models lie between their data and the received model, and are scored."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.ditto import Ditto
from tests.stub import POINTS, E, StubRun, W, means, written


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_global_model_is_fedavgs_to_the_bit(lam: float) -> None:
    ditto, plain = StubRun(Ditto(lam=lam)).server.params, StubRun(Algorithm()).server.params
    assert all(ditto[name].equal(tensor) for name, tensor in plain.items())


def test_lambda_0_is_training_alone_on_the_same_batches() -> None:
    run = StubRun(Ditto(lam=0.0))
    for client in POINTS:
        alone = StubRun(Algorithm(), points={client: POINTS[client]}).server.params
        torch.testing.assert_close(run.private(client)["memory:own"], alone)


def test_the_own_model_ends_where_both_pulls_are_equal() -> None:
    """In round 1 the received w is where it starts: (v - m) + lam (v - w) = 0 at v = (m + lam w) / (1 + lam)."""
    lam, w, m = 2.0, torch.tensor([1.0, -1.0]), means()["h01"]
    train = {"rounds": 1, "local_steps": 200, "batch_size": 4}
    run = StubRun(Ditto(lam=lam), train, {"h01": POINTS["h01"]}, {E: w.tolist()})
    torch.testing.assert_close(run.private("h01")["memory:own"][E], (m + lam * w) / (1 + lam))


def test_two_steps_by_hand() -> None:
    """One step a per round from 0: v1 = a m, and w1 is the weighted mean; v2 = v1 - a [(v1 - m) + lam (v1 - w1)]."""
    a, m = 0.25, means()["h01"]
    train = {"rounds": 2, "local_steps": 1, "batch_size": 4, "lr": a}
    run = StubRun(Ditto(lam=0.5), train, {"h01": POINTS["h01"], "h02": POINTS["h02"]})
    w1 = a * (4 * m + 2 * means()["h02"]) / 6
    v1 = a * m
    v2 = v1 - a * ((v1 - m) + 0.5 * (v1 - w1))
    torch.testing.assert_close(run.private("h01")["memory:own"][E], v2)


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
