"""Precision, gradient checkpointing and micro-batches: what each may change, and what not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark.run import settings
from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.engine.client import ClientContext
from fedmrg_core.engine.device import DeviceConfig, autocast, determinism, to_device
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.engine.trainer import MicroBatcher, build_optimizer
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.report_model import Batch, load_state
from fedmrg_core.models.tuning import AdapterSwitch
from fedmrg_core.seeding import torch_seed
from fedmrg_core.types import State
from tests.toy import Run, toy_config, toy_spec


class Step:
    """One client's gradients of one batch, after a first round that gave its adapters something to say."""

    def __init__(self, cache: Path, algo: str, *overrides: str, **fields: Any) -> None:
        first = Run(toy_spec(cache, algo, "train.rounds=1"))
        self.spec = toy_spec(cache, algo, *overrides, **fields)
        self.worker = Worker(self.spec)
        hospital = next(h for h in self.worker.federation.hospitals if h.seen)
        received = self.spec.algorithm.broadcast(first.server, hospital.name)
        private = first.store.state_for_hash()
        own = f"{hospital.name}/personal/"
        load_state(self.worker.model, received["shared"])
        load_state(self.worker.model, {n.removeprefix(own): t for n, t in private.items() if n.startswith(own)})
        self.worker.model.train()
        self.client = ClientContext(self.worker, hospital, 1, received, {})
        self.batch = self.worker.batch(hospital.rows["train"][:8])

    def gradients(self, loss: Callable[[Batch], Tensor] | None = None, micro: MicroBatcher | None = None) -> State:
        moving = self.worker.model.trainable()
        optimizer = build_optimizer([{"params": list(moving.values()), "lr": 0.0}], "sgd", 0.0)
        with torch_seed(0, "step"):
            loss = loss or self.client._local_loss
            self.loss = float((micro or MicroBatcher()).gradients(self.batch, loss, optimizer))
        return {name: p.grad.clone() for name, p in moving.items() if p.grad is not None}


def same(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)


@pytest.mark.parametrize("algo", ["fedavg", "fedlora", "fedmrg"])
def test_gradient_checkpointing_changes_no_bit_of_a_gradient(algo: str, toy_cache: Path) -> None:
    plain = Step(toy_cache, algo).gradients()
    assert any(float(grad.abs().sum()) > 0 for name, grad in plain.items() if name.startswith("lm."))
    assert same(plain, Step(toy_cache, algo, "gradient_checkpointing=true").gradients())


def test_layers_are_computed_again_under_the_adapters_of_their_own_pass(
    toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: on the way back the other path is active, and torch repeats a layer under whatever is."""
    plain = Step(toy_cache, "fedmrg").gradients()
    monkeypatch.setattr(AdapterSwitch, "contexts", lambda self: (nullcontext(), nullcontext()))
    step = Step(toy_cache, "fedmrg", "gradient_checkpointing=true")
    try:
        wrong = step.gradients()
    except torch.utils.checkpoint.CheckpointError:
        return
    assert not same(plain, wrong)


def test_gradient_checkpointing_ends_in_the_same_bits(toy_cache: Path) -> None:
    runs = [Run(toy_spec(toy_cache, "fedmrg", *set_)) for set_ in ((), ("gradient_checkpointing=true",))]
    assert params_sha256(runs[0].server, runs[0].store) == params_sha256(runs[1].server, runs[1].store)


def test_bf16_is_near_float32_repeats_itself_and_keeps_parameters_in_float32(toy_cache: Path) -> None:
    spec = toy_spec(toy_cache, "fedmrg", "precision=bf16")
    half, again, full = Run(spec), Run(spec), Run(toy_spec(toy_cache, "fedmrg"))
    assert params_sha256(half.server, half.store) == params_sha256(again.server, again.store)
    assert params_sha256(half.server, half.store) != params_sha256(full.server, full.store)
    assert {tensor.dtype for tensor in half.server.params.values()} == {torch.float32}
    assert half.logs[0].row["loss"] == pytest.approx(full.logs[0].row["loss"], rel=0.02)


def test_under_bf16_the_specialised_path_still_moves_nothing_that_is_shared(toy_cache: Path) -> None:
    """Autocast keeps the bf16 copies of weights it has made: none of them may carry a gradient to sg[g]."""
    off = {"kd_l2g": 0.0, "kd_g2l": 0.0}
    runs = [Run(toy_spec(toy_cache, "fedmrg", "precision=bf16", specialised=on, **off)) for on in (True, False)]
    assert same(runs[0].server.params, runs[1].server.params)


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


def test_settings_of_the_device_are_checked_and_only_precision_enters_the_hash() -> None:
    plain = toy_config("fedavg")
    assert toy_config("fedavg", "gradient_checkpointing=true").hash() == plain.hash()
    assert toy_config("fedavg", "precision=bf16").hash() != plain.hash()
    with pytest.raises(ConfigError, match=r"precision 'fp16'.*bf16|bf16"):
        toy_config("fedavg", "precision=fp16")
    old = plain.as_dict()
    old["engine"] = {k: v for k, v in old["engine"].items() if k not in ("precision", "gradient_checkpointing")}
    assert settings.from_dict(old).hash() == plain.hash()  # a run of before these settings can be resumed
    assert settings.from_dict(old).device.precision == "float32"


def test_what_is_promised_of_the_bits_stands_in_words() -> None:
    assert determinism(DeviceConfig("cpu"))["bits"] == "exact"
    said = determinism(DeviceConfig("cuda", "bf16"))
    assert said["bits"] == "not promised"
    assert "bf16" in said["by"]
    assert "CUBLAS_WORKSPACE_CONFIG" in said["by"]


def test_on_the_cpu_nothing_is_copied_or_cast() -> None:
    tensor = torch.ones(2)
    assert to_device(tensor, "cpu") is tensor
    with autocast(DeviceConfig("cpu")):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(DeviceConfig("cpu", "bf16")):
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("algo", ["fedavg", "fedprox", "fedlora", "fedmrg"])
def test_on_a_gpu_a_round_is_near_the_cpus(algo: str, precision: str, toy_cache: Path) -> None:
    from dataclasses import replace

    spec = toy_spec(toy_cache, algo)
    there = Run(replace(spec, device=DeviceConfig("cuda", precision, gradient_checkpointing=True)))
    here = Run(spec)
    tolerance = 1e-3 if precision == "float32" else 0.05
    assert there.logs[0].row["loss"] == pytest.approx(here.logs[0].row["loss"], rel=tolerance)
    assert all(tensor.device.type == "cpu" for tensor in there.server.params.values())
    moved = tree.subtract(there.server.params, here.server.params)
    assert tree.nonfinite(moved) is None
