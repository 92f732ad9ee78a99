"""FedSVD: FFA-LoRA between turns; a turn leaves the product and makes the rows of A orthonormal."""

from __future__ import annotations

import torch

from fedmrg_core.algorithms.fedsvd import FedSVD, turned
from fedmrg_core.algorithms.ffa_lora import FFALoRA
from fedmrg_core.models.tuning import Tuning
from tests.stub import TRAIN, A, B, StubRun

LORA = Tuning("lora", rank=2, alpha=4.0)
NAME_A, NAME_B = A.format("generic"), B.format("generic")


def test_without_turns_it_is_ffa_lora_to_the_bit() -> None:
    ours, ffa = StubRun(FedSVD(LORA, period=0)), StubRun(FFALoRA(LORA))
    assert all(ours.server.params[name].equal(tensor) for name, tensor in ffa.server.params.items())
    assert ours.server.params[NAME_A].equal(ours.initial.params[NAME_A])
    assert ours.logs[0].row["upload_bytes"] == ffa.logs[0].row["upload_bytes"]


def test_a_turn_leaves_the_product_and_makes_a_orthonormal() -> None:
    draw = torch.Generator().manual_seed(0)
    b, a = (torch.randn(shape, generator=draw) for shape in ((9, 3), (3, 7)))
    fresh = turned({"lora_B": b, "x.lora_A.g": a, "x.lora_B.g": b})
    torch.testing.assert_close(fresh["x.lora_B.g"] @ fresh["x.lora_A.g"], b @ a)
    torch.testing.assert_close(fresh["x.lora_A.g"] @ fresh["x.lora_A.g"].T, torch.eye(3))
    assert fresh["lora_B"] is b


def test_turns_come_every_so_many_rounds() -> None:
    off, on = (StubRun(FedSVD(LORA, period=period), {"rounds": 2}) for period in (3, 2))
    assert off.server.params[NAME_A].equal(off.initial.params[NAME_A])
    torch.testing.assert_close(on.server.params[NAME_A], turned(off.server.params)[NAME_A])


def test_two_rounds_by_hand() -> None:
    """One hospital, full steps a. B = a s M A^T; after the turn the rows of A span the plane: with A^T A = 1 a step is
    W += a s^2 (M - W), W = s B A."""
    m = torch.tensor([2.0, 1.0]).expand(3, 2)
    train = {"local_steps": 1, "batch_size": 4}
    run = StubRun(FedSVD(LORA), train, {"h01": [(2.0, 1.0)] * 4})
    first = run.initial.params[NAME_A]
    w = 2.0 * TRAIN.adapter_lr * 2.0 * m @ first.T @ first
    w = w + TRAIN.adapter_lr * 4.0 * (m - w)
    torch.testing.assert_close(2.0 * run.server.params[NAME_B] @ run.server.params[NAME_A], w)
