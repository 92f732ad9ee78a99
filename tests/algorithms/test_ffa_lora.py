"""FFA-LoRA: A never moves and never travels, and what the server holds is the mean of the hospitals' products."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.ffa_lora import FFALoRA
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.tuning import FULL, Tuning
from tests.stub import POINTS, TRAIN, A, B, E, StubRun, means
from tests.toy import toy_spec

LORA = Tuning("lora", rank=2, alpha=4.0)
FIRST = torch.tensor([[0.3, 0.3], [0.15, -0.15]])
NAME_A, NAME_B = A.format("generic"), B.format("generic")
WEIGHTS = {"h01": 4 / 7, "h02": 2 / 7, "h03": 1 / 7}


def test_a_never_moves_and_an_upload_is_smaller_by_it() -> None:
    run, plain = StubRun(FFALoRA(LORA)), StubRun(FedLoRA(LORA))
    assert set(run.server.params) == {E, NAME_B}
    assert run.worker.model.get_parameter(NAME_A).equal(plain.initial.params[NAME_A])
    assert plain.logs[0].row["upload_bytes"] - run.logs[0].row["upload_bytes"] == 3 * FIRST.nbytes


def test_while_a_has_no_gradient_it_is_fedlora_to_the_bit() -> None:
    """With B = 0 the first step moves no A."""
    ours, plain = (StubRun(cls(LORA), {"rounds": 1, "local_steps": 1}) for cls in (FFALoRA, FedLoRA))
    assert all(tensor.equal(plain.server.params[name]) for name, tensor in ours.server.params.items())


def test_the_mean_of_products_has_no_error() -> None:
    run = StubRun(FFALoRA(LORA), {"rounds": 1})
    alone = {c: StubRun(FFALoRA(LORA), {"rounds": 1}, {c: POINTS[c]}).server.params[NAME_B] for c in POINTS}
    mean = sum((WEIGHTS[c] * alone[c] @ FIRST for c in POINTS), torch.zeros(3, 2))
    torch.testing.assert_close(run.server.params[NAME_B] @ FIRST, mean)


def test_one_round_by_hand() -> None:
    """One full step a from B = 0: the gradient of B is s (0 - M_k) A^T, so mean(B) = a s sum p_k M_k A^T."""
    run = StubRun(FFALoRA(LORA), {"rounds": 1, "batch_size": 4, "local_steps": 1})
    mean = sum((WEIGHTS[c] * m for c, m in means().items()), torch.zeros(2)).expand(3, 2)
    torch.testing.assert_close(run.server.params[NAME_B], TRAIN.adapter_lr * 2.0 * mean @ FIRST.T)


def test_on_the_real_model_a_has_no_gradient_after_a_pass(toy_cache: Path) -> None:
    """peft switches all factors of an adapter on when it is chosen; the frozen ones must stay off."""
    worker = Worker(toy_spec(toy_cache, "ffa-lora"))
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:2])
    worker.model.decode(batch, worker.model.encode(batch.images).prefix, None).loss.backward()
    found = {name: p.grad is not None for name, p in worker.model.named_parameters() if ".lora_" in name}
    assert found
    assert all(has is (".lora_B." in name) for name, has in found.items())


def test_tuning_without_factors_is_refused() -> None:
    with pytest.raises(ConfigError, match="no factors"):
        FFALoRA(FULL)
