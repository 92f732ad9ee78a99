"""SCAFFOLD: its first round is FedAvg, c stays the mean of the c_k, and unequal steps do not drift."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.scaffold import Scaffold
from fedmrg_core.engine.trainer import MicroBatcher
from tests.stub import POINTS as UNEQUAL
from tests.stub import E, StubRun, W
from tests.stub import means as means_of


@dataclass(frozen=True)
class Uniform(Algorithm):
    """FedAvg with equal weights."""

    weighting = "uniform"


POINTS = {"h01": [(2.0, 1.0)] * 8, "h02": [(-2.0, 2.0)] * 2, "h03": [(0.0, -4.0)]}
"""Every study of a hospital is its mean, so that a batch's gradient is exact; 8, 2 and 2 steps per round."""
TRAIN = {"batch_size": 2, "local_epochs": 2}


def control(run: StubRun, client: str) -> Tensor:
    return run.private(client)["memory:control"][E]


@pytest.mark.parametrize("train", [TRAIN, {**TRAIN, "optimizer": "adamw", "clip_norm": 1.0}])
def test_round_1_is_fedavg_to_the_bit(train: dict[str, object]) -> None:
    runs = [StubRun(algorithm, {**train, "rounds": 1}, POINTS).server.params for algorithm in (Scaffold(), Uniform())]
    assert all(runs[0][name].equal(runs[1][name]) for name in runs[0])


def test_the_second_round_by_hand() -> None:
    """One step a = 0.1 per round on a full batch of mean m_k, from w1 = 0: g_k = w - m_k, so c_k = -m_k and c their
    mean; w2 = a M with M the mean of the m_k. Then every client steps along (w2 - m_k) - c_k + c = w2 - M."""
    train = {"rounds": 2, "local_steps": 1, "batch_size": 4, "lr": 0.1}
    run, means = StubRun(Scaffold(), train), means_of()
    mean = torch.stack(list(means.values())).mean(dim=0)
    torch.testing.assert_close(run.server.params[E], 0.1 * mean + 0.1 * (mean - 0.1 * mean))
    torch.testing.assert_close(control(run, "h02"), 0.1 * mean - means["h02"])  # the raw gradient of round 2
    torch.testing.assert_close(run.server.memory["control"][E], 0.1 * mean - mean)


def test_with_sgd_the_mean_raw_gradient_is_option_ii() -> None:
    """c_k+ = c_k - c + (w - y) / (steps x lr), where c_k = c for a hospital alone."""
    alone = {"h01": UNEQUAL["h01"]}
    first, second = (StubRun(Scaffold(), {"rounds": rounds, "local_epochs": 3}, alone) for rounds in (1, 2))
    steps = second.logs[1].row["steps"]
    assert steps == 6
    option_ii = (first.server.params[E] - second.server.params[E]) / (steps * 0.1)
    torch.testing.assert_close(control(second, "h01"), option_ii)


def test_with_everyone_taking_part_the_servers_variate_is_the_clients_mean() -> None:
    run = StubRun(Scaffold(), {**TRAIN, "rounds": 3}, POINTS)
    torch.testing.assert_close(
        run.server.memory["control"][E], torch.stack([control(run, client) for client in POINTS]).mean(dim=0)
    )


def test_a_part_of_the_clients_moves_the_servers_variate_by_its_share() -> None:
    run = StubRun(Scaffold(), {**TRAIN, "rounds": 1, "participation": 0.34}, POINTS)
    (client,) = run.logs[0].row["accepted"]
    torch.testing.assert_close(run.server.memory["control"][E], control(run, client) / 3)


def test_unequal_steps_drift_under_fedavg_and_not_here() -> None:
    """The mean of the three losses is least at the mean of the hospitals' means; FedAvg weighs them by their steps."""
    best = torch.stack(list(means_of(POINTS).values())).mean(dim=0)
    train = {**TRAIN, "rounds": 40, "lr": 0.2}
    fedavg, scaffold = (StubRun(a, train, POINTS).server.params[E] for a in (Uniform(), Scaffold()))
    torch.testing.assert_close(scaffold, best, atol=1e-4, rtol=0)
    assert float((fedavg - best).norm()) > 0.2


def test_the_logged_loss_is_the_tasks_and_twice_the_bytes_travel() -> None:
    run, plain = StubRun(Scaffold(), {**TRAIN, "rounds": 1}, POINTS), StubRun(Uniform(), {**TRAIN, "rounds": 1}, POINTS)
    assert run.logs[0].row["loss"] == plain.logs[0].row["loss"]
    for way in ("upload_bytes", "download_bytes"):
        assert run.logs[0].row[way] == 2 * plain.logs[0].row[way]


def test_a_batch_that_is_repeated_in_parts_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out after a batch's backward pass: the gradient that was summed by then is forgotten."""
    whole = StubRun(Scaffold(), {**TRAIN, "rounds": 1}, POINTS)
    run_whole, failed = MicroBatcher._whole, []

    def scarce(self: MicroBatcher, batch: object, loss_fn: object) -> Tensor:
        loss = run_whole(self, batch, loss_fn)  # type: ignore[arg-type]
        if len(batch.images) > 1 and not self.size:  # type: ignore[attr-defined]
            failed.append(batch)
            raise torch.OutOfMemoryError
        return loss

    monkeypatch.setattr(MicroBatcher, "_whole", scarce)
    parts = StubRun(Scaffold(), {**TRAIN, "rounds": 1}, POINTS)
    assert failed
    torch.testing.assert_close(control(parts, "h01"), control(whole, "h01"))
    torch.testing.assert_close(parts.server.params[W], whole.server.params[W])
