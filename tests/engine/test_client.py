"""What a client's script may do: several fits of one round, some parts, another loss, its own state."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client
from fedmrg_core.models.report_model import Batch
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.types import Payload
from tests.stub import POINTS, STATISTIC, E, StubRun, W, means

ALONE = {"h01": POINTS["h01"]}
ONCE = {"rounds": 1, "local_epochs": 1, "batch_size": 4}


@dataclass(frozen=True)
class Scripted(Algorithm):
    """FedAvg with another script."""

    script: Callable[[Client], Any] = lambda client: client.fit()

    def client_round(self, client: Client) -> Payload:
        self.script(client)
        return {"delta": client.delta()}


def run(script: Callable[[Client], Any], **train: Any) -> StubRun:
    return StubRun(Scripted(script=script), {**ONCE, **train}, ALONE)


def test_fit_without_arguments_is_the_configured_training() -> None:
    scripted, plain = run(lambda client: client.fit()), StubRun(Algorithm(), ONCE, ALONE)
    assert all(scripted.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())


def test_every_step_and_study_of_every_fit_counts() -> None:
    seen: list[tuple[int, int]] = []

    def script(client: Client) -> None:
        for number in range(2):
            seen.append((client.fit(epochs=number + 1), client.steps))
        seen.append((client.fit(steps=3), client.steps))
        seen.append((client.fit(steps=0), client.steps))

    row = run(script).logs[0].row
    assert seen == [(1, 1), (2, 3), (3, 6), (0, 6)]
    assert (row["steps"], row["studies"]) == (6, 6 * 4)


def test_a_rounds_cpu_seconds_are_those_of_the_workers_process(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 1.5)  # asked when a client begins and when it ends
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    assert StubRun(Algorithm()).logs[1].row["seconds"]["clients_cpu"] == 3 * 1.5, "three hospitals"


@pytest.mark.parametrize("parts", [["encoder."], lambda name: "encoder" in name])
def test_only_the_chosen_parts_move(parts: Any) -> None:
    after = run(lambda client: client.fit(parts=parts)).server.params
    torch.testing.assert_close(after[E], 0.1 * means()["h01"])
    assert after[W].abs().sum() == 0


def test_nothing_chosen_is_no_step() -> None:
    row = run(lambda client: client.fit(parts=[])).logs[0].row
    assert (row["steps"], row["studies"], row["loss"]) == (0, 0, 0.0)


def test_running_statistics_of_other_parts_come_back_as_they_were() -> None:
    seen: list[float] = []

    def script(client: Client) -> None:
        for parts in (["encoder."], ["encoder.", "norm."], None):
            client.fit(parts=parts)
            seen.append(float(client.state()[STATISTIC]))

    done = StubRun(Scripted(script=script), ONCE, ALONE, statistic=True)
    assert seen == [0.0, 1.0, 2.0]
    assert done.server.params[STATISTIC].tolist() == [2.0]


def test_another_loss_is_shown_under_its_name() -> None:
    def towards_one(client: Client, batch: Batch) -> Tensor:
        distance = (client.shared()[E] - 1).square().sum()
        client.log("distance", distance)
        return 0.5 * distance

    def script(client: Client) -> None:
        client.fit()
        client.fit(parts=[E], loss=towards_one, steps=100)

    plain = run(lambda client: client.fit()).logs[0].row
    moved = run(script)
    torch.testing.assert_close(moved.server.params[E], torch.ones(2), atol=1e-3, rtol=0)
    row = moved.logs[0].row
    assert row["loss"] == plain["loss"]
    assert row["towards_one"] == pytest.approx(row["distance"] / 2)
    assert "other_loss" in run(lambda client: client.fit(loss=lambda c, b: towards_one(c, b))).logs[0].row


def test_lr_follows_the_schedule() -> None:
    seen: list[float] = []
    run(lambda client: seen.append(client.lr), rounds=3, schedule="cosine", lr=1.0)
    assert seen == pytest.approx([1.0, 0.55, 0.1])


def test_a_state_taken_and_loaded_again_is_the_same() -> None:
    def script(client: Client) -> None:
        client.fit()
        before = client.state()
        client.fit(steps=5)
        assert not client.shared()[E].equal(before[E])
        client.load(before)
        assert all(client.shared()[name].equal(tensor) for name, tensor in before.items())

    run(script)


def test_a_frozen_parameter_that_a_client_loads_is_restored_before_the_next() -> None:
    seen: list[float] = []

    def script(client: Client) -> None:
        seen.append(float(client.model.get_parameter(W).sum()))
        client.load({W: torch.ones(3, 2)})

    lora = Scripted(tuning=Tuning("lora", rank=1, alpha=1.0), script=script)
    done = StubRun(lora, {**ONCE, "rounds": 2})
    assert seen == [0.0] * 6
    assert done.reports()["test", "global", "h01"][0].endswith("W = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]")
