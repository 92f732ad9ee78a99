"""FedDAT: without its losses the shared side is fedlora at half the step; the local adapter stays, the arrived one is
frozen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.feddat import FedDAT
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.tuning import Tuning
from tests.stub import POINTS, A, B, E, StubRun, means, numbers, written
from tests.toy import toy_spec

LORA = Tuning("lora", rank=2, alpha=4.0)
OFF = FedDAT(LORA, kd=0.0)
FIRST = torch.tensor([[0.3, 0.3], [0.15, -0.15]])


def test_without_kd_the_shared_side_is_fedlora_with_half_the_gradient() -> None:
    ours, plain = StubRun(OFF), StubRun(FedLoRA(LORA), {"lr": 0.05, "adapter_lr": 0.05})
    assert ours.server.params.keys() == plain.server.params.keys()
    torch.testing.assert_close(ours.server.params, plain.server.params)


def test_only_the_shared_adapter_travels_and_the_arrived_one_is_frozen() -> None:
    run = StubRun(OFF)
    assert set(run.server.params) == {E, A.format("generic"), B.format("generic")}
    assert set(run.private("h01")["personal"]) == {A.format("specialised"), B.format("specialised")}
    run.worker.start_from({})
    assert run.worker.model.get_parameter(B.format("arrived")).abs().sum() == 0


def test_two_rounds_by_hand() -> None:
    """One hospital, one full step a per round, half of every loss. Round 1 from B = 0: the path is s B_k A_k / 2, so
    B_k = a s M A^T / 4, and B_g = a s M A^T / 2. In round 2 the path is s (B_k A_k + B_g A_g) / 2, with B_g as it
    arrived; its step D = s (path - M) / 4 moves B_k by -a D A_k^T and A_k by -a B_k^T D."""
    a, s, train = 0.05, 2.0, {"local_steps": 1, "batch_size": 4, "adapter_lr": 0.05}
    run, target = StubRun(OFF, train, {"h01": POINTS["h01"]}), means()["h01"].expand(3, 2)
    local, shared = a * s * target @ FIRST.T / 4, a * s * target @ FIRST.T / 2
    d = s * (s * (local + shared) @ FIRST / 2 - target) / 4
    own = run.private("h01")["personal"]
    torch.testing.assert_close(own[B.format("specialised")], local - a * d @ FIRST.T)
    torch.testing.assert_close(own[A.format("specialised")], FIRST - a * local.T @ d)


def test_a_hospital_is_scored_with_half_of_each_and_a_new_one_with_the_shared() -> None:
    run = StubRun(OFF)
    params, own, reports = run.server.params, run.private("h02")["personal"], run.reports()
    shared = 2.0 * params[B.format("generic")] @ params[A.format("generic")]
    local = 2.0 * own[B.format("specialised")] @ own[A.format("specialised")]
    assert reports["unseen", "global", "h09"][0] == written(params[E], shared)
    assert reports["test", "personal", "h02"][0] == written(params[E], 0.5 * local + 0.5 * shared)


@pytest.fixture(scope="module", name="gradients")
def _gradients(toy_cache: Path) -> dict[float, dict[str, torch.Tensor]]:
    """By kd, the gradients of one batch on the real model, whose B have some values."""
    found = {}
    worker = Worker(toy_spec(toy_cache, "feddat"))
    for name, parameter in worker.model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(len(name)))
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:2])
    for kd in (0.0, 1.0):
        worker.model.zero_grad(set_to_none=True)
        FedDAT(kd=kd).local_loss(Logged(worker.model), batch).backward()  # type: ignore[arg-type]
        found[kd] = {n: p.grad.clone() for n, p in worker.model.named_parameters() if p.grad is not None}
    return found


class Logged:
    """As much of a client as the loss needs."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def log(self, name: str, value: torch.Tensor) -> None:
        pass


def test_both_adapters_are_taught_and_the_arrived_one_is_not(gradients: dict[float, dict[str, torch.Tensor]]) -> None:
    for adapter in ("generic", "specialised"):
        names = [name for name in gradients[0.0] if f".{adapter}." in name]
        assert names
        assert any(not gradients[0.0][name].equal(gradients[1.0][name]) for name in names)
    assert not [name for name in gradients[1.0] if ".arrived." in name]


def test_a_new_hospital_adapts_beside_the_arrived_adapter() -> None:
    """One full step a from B_k = 0: B_k = a (s / 4) (M - shared / 2) A^T, half of every loss."""
    points = [(1.0, 3.0), (2.0, 0.0)]
    run = StubRun(OFF, {"batch_size": 4}, unseen=points)
    params, target = run.server.params, torch.tensor(points).mean(dim=0)
    shared = 2.0 * params[B.format("generic")] @ params[A.format("generic")]
    local = 2.0 * (0.1 * 2.0 / 4 * (target - shared / 2) @ FIRST.T) @ FIRST
    report = run.reports(adapt=(2,), adapt_steps=1)["unseen", "adapted2", "h09"][0]
    torch.testing.assert_close(numbers(report), numbers(written(params[E], (local + shared) / 2)))
