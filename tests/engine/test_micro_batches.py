"""Batches that do not fit into memory are halved: same gradients for additive losses, and the round says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.engine.trainer import MicroBatcher
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.report_model import Batch
from tests.engine.one_step import Step
from tests.toy import Run, toy_spec


def out_of_memory_above(size: int, loss: Callable[[Batch], Tensor], tried: list[int]) -> Callable[[Batch], Tensor]:
    def limited(batch: Batch) -> Tensor:
        tried.append(len(batch.images))
        value = loss(batch)
        if len(batch.images) > size:
            raise torch.OutOfMemoryError("CUDA out of memory (not really)")
        return value

    return limited


@pytest.mark.parametrize("algo", ["fedavg", "fedlora", "fedprox"])
def test_micro_batches_of_an_additive_loss_have_the_gradients_of_the_whole(algo: str, toy_cache: Path) -> None:
    step, tried = Step(toy_cache, algo), []
    whole, loss = step.gradients(), step.loss
    parts = MicroBatcher()
    halved = step.gradients(out_of_memory_above(3, step.client._local_loss, tried), parts)
    assert tried == [8, 4, 2, 2, 2, 2]
    assert parts.size == 2
    assert step.loss == pytest.approx(loss, rel=1e-6)
    assert halved.keys() == whole.keys()
    assert max(float((halved[name] - whole[name]).abs().max()) for name in whole) < 1e-6
    tried.clear()
    step.gradients(out_of_memory_above(3, step.client._local_loss, tried), parts)
    assert tried == [2, 2, 2, 2]


def test_memory_for_not_even_one_study_is_an_error(toy_cache: Path) -> None:
    step, tried = Step(toy_cache, "fedavg"), []
    with pytest.raises(torch.OutOfMemoryError):
        step.gradients(out_of_memory_above(0, step.client._local_loss, tried))
    assert tried == [8, 4, 2, 1]


def test_what_a_failed_try_noted_is_taken_back_and_parts_are_logged_by_their_share(toy_cache: Path) -> None:
    step = Step(toy_cache, "fedmrg", prompts=False)  # with prompts, parts draw other random numbers
    client = step.client
    step.gradients()
    whole, count = dict(client._losses), 8.0
    client._losses, client.last_epoch = {}, True
    client._micro = MicroBatcher(client._snapshot)
    step.gradients(out_of_memory_above(4, client._local_loss, []), client._micro)
    assert float(client.scratch["z_count"]) == count
    assert float(client._losses["specialised"]) == pytest.approx(float(whole["specialised"]), rel=1e-5)
    assert [(event["kind"], event["size"]) for event in client.events()] == [("micro_batch", 4)]


def test_a_client_that_ran_out_of_memory_says_so_in_its_reply(toy_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies: list[Any] = []
    train = Worker.train
    monkeypatch.setattr(Worker, "train", lambda *given: replies.append(train(*given)) or replies[-1])
    loss = Algorithm.local_loss
    limited = lambda self, client, batch: out_of_memory_above(4, lambda b: loss(self, client, b), [])(batch)  # noqa: E731
    plain = Run(toy_spec(toy_cache, "fedavg"))
    assert all(reply.events == () for reply in replies)
    replies.clear()
    monkeypatch.setattr(Algorithm, "local_loss", limited)
    run = Run(toy_spec(toy_cache, "fedavg"))
    assert {(event["kind"], event["size"]) for reply in replies for event in reply.events} == {("micro_batch", 4)}
    assert {event["client"] for reply in replies for event in reply.events} == set(run.logs[0].row["clients"])
    assert run.logs[1].row["loss"] == pytest.approx(plain.logs[1].row["loss"], rel=1e-4)
