"""LoRA-FAIR: no correction where it is too dear or not needed; else the product turns to the mean product."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.fedlora import FedLoRA, Product
from fedmrg_core.algorithms.lora_fair import LoRAFair
from fedmrg_core.models.tuning import Tuning
from tests.stub import POINTS, A, B, StubRun

LORA = Tuning("lora", rank=2, alpha=4.0)
NAME_A, NAME_B = A.format("generic"), B.format("generic")


def hospitals() -> tuple[Product, Tensor, Tensor, Tensor]:
    """The product of three random hospitals, its dense mean, and the mean factors."""
    draw, product = torch.Generator().manual_seed(0), Product()
    pairs = [(torch.randn(20, 3, generator=draw), torch.randn(3, 15, generator=draw), w) for w in (1.0, 2.0, 3.0)]
    for b, a, weight in pairs:
        product.add(b, a, weight)
    dense = sum((weight / 6 * b.double() @ a.double() for b, a, weight in pairs), torch.zeros(20, 15).double())
    b, a = (sum(w / 6 * pair[i].double() for *pair, w in pairs) for i in (0, 1))
    return product, dense, b, a  # type: ignore[return-value]


def cosine(left: Tensor, right: Tensor) -> float:
    return float((left * right).sum() / left.norm() / right.norm())


def test_a_large_lam_is_fedlora_to_the_bit() -> None:
    ours, plain = StubRun(LoRAFair(LORA, lam=1e6)), StubRun(FedLoRA(LORA))
    assert all(ours.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())


@pytest.mark.parametrize("settings", [{}, {"solver": "least-squares", "lam": 0.0}])
def test_equal_hospitals_need_no_correction(settings: Any) -> None:
    points = {"h01": POINTS["h01"], "h02": POINTS["h01"]}
    ours, plain = (
        StubRun(LoRAFair(LORA, **settings), {"local_steps": 1, "batch_size": 4}, points),
        StubRun(FedLoRA(LORA), {"local_steps": 1, "batch_size": 4}, points),
    )
    torch.testing.assert_close(ours.server.params, plain.server.params)


def test_least_squares_leave_no_gradient() -> None:
    """((B + D) A - M) A^T + lam D = 0."""
    product, dense, b, a = hospitals()
    d = LoRAFair(LORA, solver="least-squares", lam=0.3).correction(product, b, a)
    assert (((b + d) @ a - dense) @ a.T + 0.3 * d).abs().max() < 1e-12


def test_without_lam_the_cosine_is_the_best_there_is() -> None:
    """The best direction within the rows of A is the projection of M on them, which least squares give."""
    product, dense, b, a = hospitals()
    d = LoRAFair(LORA, lam=0.0, steps=300).correction(product, b, a)
    best = LoRAFair(LORA, solver="least-squares", lam=0.0).correction(product, b, a)
    assert cosine((b + d) @ a, dense) == pytest.approx(cosine((b + best) @ a, dense), abs=1e-6)


def test_the_papers_lam_trades_the_cosine_for_a_short_correction() -> None:
    product, dense, b, a = hospitals()
    found = [LoRAFair(LORA, lam=lam, steps=300).correction(product, b, a) for lam in (0.0, 0.01, 0.1, 10.0)]
    worth = [1 - cosine((b + d) @ a, dense) + 0.01 * float(d.norm()) for d in found]
    assert worth[1] == min(worth)
    lengths = [float(d.norm()) for d in found]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[3] == 0
