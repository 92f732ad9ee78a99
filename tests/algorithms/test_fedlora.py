from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.fedlora import mean_product_factors, product_error

NAME = "lm.q_proj.lora_A.generic.weight"
OTHER = NAME.replace(".lora_A.", ".lora_B.")


def factors(clients: int, seed: int = 0) -> dict[str, list[tuple[torch.Tensor, torch.Tensor, float]]]:
    draw = torch.Generator().manual_seed(seed)
    pairs = [
        (torch.randn(6, 2, generator=draw), torch.randn(2, 5, generator=draw), float(i + 1)) for i in range(clients)
    ]
    return {NAME: pairs}


def dense_mean(pairs: list[tuple[torch.Tensor, torch.Tensor, float]]) -> torch.Tensor:
    total = sum(w for _, _, w in pairs)
    return sum((w / total * b.double() @ a.double() for b, a, w in pairs), torch.zeros(6, 5, dtype=torch.float64))


def test_product_error_is_that_of_the_dense_matrices() -> None:
    pairs = factors(3)
    weights = torch.tensor([1.0, 2.0, 3.0]) / 6
    mean_b = sum(w * b for w, (b, _, _) in zip(weights, pairs[NAME], strict=True))
    mean_a = sum(w * a for w, (_, a, _) in zip(weights, pairs[NAME], strict=True))
    whole = dense_mean(pairs[NAME])
    expected = (whole - (mean_b @ mean_a).double()).norm() / whole.norm()
    assert product_error({NAME: mean_a, OTHER: mean_b}, pairs) == pytest.approx(float(expected), rel=1e-5)


def test_product_error_of_one_client_is_0() -> None:
    ((b, a, _),) = factors(1)[NAME]
    assert product_error({NAME: a, OTHER: b}, factors(1)) < 1e-6


def test_svd_aggregation_is_the_best_rank_r_of_the_dense_mean() -> None:
    state, lost = mean_product_factors(factors(3), rank=2)
    whole = dense_mean(factors(3)[NAME])
    u, s, vt = torch.linalg.svd(whole)
    best = (u[:, :2] * s[:2]) @ vt[:2]
    torch.testing.assert_close(state[OTHER].double() @ state[NAME].double(), best, rtol=1e-5, atol=1e-5)
    assert lost == pytest.approx(float(s[2:].norm() / s.norm()), rel=1e-6)
