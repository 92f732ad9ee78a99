"""FedAvg-FT: FedAvg to the bit, and after its last round one fine-tuning at every seen hospital."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fedavg_ft import FedAvgFT
from fedmrg_core.engine.failures import Policy
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.messages import TrainReply, TrainTask
from fedmrg_core.engine.rounds import params_sha256
from tests.stub import POINTS, E, StubRun, StubWorker, W, means, written

FULL_BATCH = {"batch_size": 4, "local_epochs": 1, "lr": 0.25}


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_shared_model_is_fedavgs_to_the_bit(epochs: int) -> None:
    ours, plain = StubRun(FedAvgFT(epochs=epochs)).server.params, StubRun(Algorithm()).server.params
    assert all(ours[name].equal(tensor) for name, tensor in plain.items())


def test_the_fine_tuning_by_hand() -> None:
    """From the final w, t full steps a: v = w + (1 - (1 - a)^t) (m_k - w)."""
    run = StubRun(FedAvgFT(epochs=3, rate=1.0), FULL_BATCH)
    w, m = run.server.params[E], means()
    for client in POINTS:
        torch.testing.assert_close(run.private(client)["memory:own"][E], w + (1 - 0.75**3) * (m[client] - w))
    none = StubRun(FedAvgFT(epochs=0), FULL_BATCH)
    assert none.private("h01")["memory:own"][E].equal(none.server.params[E])


def test_its_rate_is_a_share_of_the_configured_one_whatever_the_schedule() -> None:
    train = {**FULL_BATCH, "schedule": "cosine", "rounds": 3}
    run = StubRun(FedAvgFT(epochs=1, rate=0.1), train)
    w, m = run.server.params[E], means()["h02"]
    torch.testing.assert_close(run.private("h02")["memory:own"][E], w + 0.1 * 0.25 * (m - w))


def test_every_seen_hospital_finishes_and_nothing_is_sent_up() -> None:
    run, plain = (StubRun(a, {"participation": 0.34}) for a in (FedAvgFT(), Algorithm()))
    assert [log.row["clients"] for log in run.logs[:-1]] == [log.row["clients"] for log in plain.logs]
    last = run.logs[-1].row
    assert (last["round"], last["accepted"], last["upload_bytes"]) == (2, sorted(POINTS), 0)
    assert last["download_bytes"] == 3 * run.logs[0].row["download_bytes"]
    assert last["steps"] == 3 * (2 + 1 + 1), "three epochs of 4, 2 and 1 studies in batches of 2"
    assert run.server.round == 3


def test_the_personal_view_scores_the_fine_tuned_model() -> None:
    run = StubRun(FedAvgFT())
    reports, own = run.reports(), run.private("h03")["memory:own"]
    assert reports["test", "personal", "h03"] == [written(own[E], own[W])] * 2
    of_server = written(run.server.params[E], run.server.params[W])
    assert reports["test", "global", "h03"][0] == reports["unseen", "global", "h09"][0] == of_server


def test_a_finished_run_does_not_finish_twice() -> None:
    run = StubRun(FedAvgFT())
    before = params_sha256(run.server, run.store)
    again = StubRun(FedAvgFT(), resume=(run.server, run.store))
    assert again.logs == []
    assert params_sha256(again.server, again.store) == before


class Sends(StubWorker):
    """A worker that sends something up for h02 after the last round."""

    def train(self, task: TrainTask, *given: Any) -> TrainReply:
        reply = super().train(task, *given)
        spoilt = (task.client_id, task.round) == ("h02", 2)
        return replace(reply, upload=pack({"delta": {E: torch.ones(2)}})) if spoilt else reply


def test_a_hospital_that_fails_to_finish_is_scored_with_the_servers_model() -> None:
    run = StubRun(FedAvgFT(), policy=Policy(on_failure="drop"), worker_class=Sends)
    (failure,) = run.logs[-1].row["failures"]
    assert (failure["client"], failure["kind"]) == ("h02", "wrong_payload")
    assert "delta 'encoder.weight' was not asked for" in failure["message"]
    assert run.logs[-1].row["accepted"] == ["h01", "h03"]
    reports = run.reports()
    assert reports["test", "personal", "h02"] == reports["test", "global", "h02"]
    assert reports["test", "personal", "h01"] != reports["test", "global", "h01"]
