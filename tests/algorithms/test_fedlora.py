from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fedmrg_core.algorithms.base import ServerState, Update
from fedmrg_core.algorithms.fedlora import FedLoRA, Product, mean_product_factors, product_error
from fedmrg_core.seeding import generator

NAME = "lm.q_proj.lora_A.generic.weight"
OTHER = NAME.replace(".lora_A.", ".lora_B.")


def factors(clients: int, seed: int = 0) -> dict[str, list[tuple[torch.Tensor, torch.Tensor, float]]]:
    draw = torch.Generator().manual_seed(seed)
    pairs = [
        (torch.randn(6, 2, generator=draw), torch.randn(2, 5, generator=draw), float(i + 1)) for i in range(clients)
    ]
    return {NAME: pairs}


def products(clients: int) -> dict[str, Product]:
    found = Product()
    for pair in factors(clients)[NAME]:
        found.add(*pair)
    return {NAME: found}


def dense_mean(pairs: list[tuple[torch.Tensor, torch.Tensor, float]]) -> torch.Tensor:
    total = sum(w for _, _, w in pairs)
    return sum((w / total * b.double() @ a.double() for b, a, w in pairs), torch.zeros(6, 5, dtype=torch.float64))


def means(clients: int) -> dict[str, torch.Tensor]:
    pairs = factors(clients)[NAME]
    total = sum(w for _, _, w in pairs)
    mean_b, mean_a = (sum(w / total * pair[i] for *pair, w in pairs) for i in (0, 1))
    return {OTHER: mean_b, NAME: mean_a}


@pytest.mark.parametrize("clients", [2, 3, 40])
def test_product_error_is_that_of_the_dense_matrices(clients: int) -> None:
    state, whole = means(clients), dense_mean(factors(clients)[NAME])
    expected = (whole - (state[OTHER] @ state[NAME]).double()).norm() / whole.norm()
    assert product_error(state, products(clients)) == pytest.approx(float(expected), rel=1e-5)


def test_product_error_of_one_client_is_0() -> None:
    assert product_error(means(1), products(1)) < 1e-6


def test_a_cohort_whose_factors_are_smaller_than_the_matrix_is_stacked_as_it_is() -> None:
    """The committed figures come from these very bits: weights that add up to 1, then the factors side by side."""
    draw = torch.Generator().manual_seed(1)
    pairs = [(torch.randn(96, 8, generator=draw), torch.randn(8, 96, generator=draw), i + 1.0) for i in range(12)]
    product, total = Product(), sum(w for *_, w in pairs)
    for pair in pairs:
        product.add(*pair)
    left, right = product.factors()
    assert left.equal(torch.cat([b.double() * (w / total) for b, _, w in pairs], dim=1))
    assert right.equal(torch.cat([a.double() for _, a, _ in pairs]))


def test_what_is_kept_does_not_grow_with_the_cohort() -> None:
    assert {product.num_bytes for n in (20, 40, 400) for product in products(n).values()} == {6 * 5 * 8}


def test_an_update_is_gone_when_the_next_is_asked_for() -> None:
    alive: list[Any] = []

    class Seen(Update):
        def __del__(self) -> None:
            alive.remove(self.client_id)

    def updates() -> Iterator[Update]:
        for client, (b, a, weight) in zip("abc", factors(3)[NAME], strict=True):
            assert not alive
            alive.append(client)
            yield Seen(client, weight, {"delta": {OTHER: b, NAME: a}})

    server = ServerState({name: torch.zeros_like(t) for name, t in means(3).items()})
    moved = FedLoRA().aggregate(server, updates(), generator(0))
    torch.testing.assert_close(moved.params, means(3))
    assert moved.diagnostics["lora_product_error"] == pytest.approx(product_error(means(3), products(3)), rel=1e-4)


@pytest.mark.parametrize("clients", [3, 40])
def test_svd_aggregation_is_the_best_rank_r_of_the_dense_mean(clients: int) -> None:
    state, lost = mean_product_factors(products(clients), rank=2)
    whole = dense_mean(factors(clients)[NAME])
    u, s, vt = torch.linalg.svd(whole)
    best = (u[:, :2] * s[:2]) @ vt[:2]
    torch.testing.assert_close(state[OTHER].double() @ state[NAME].double(), best, rtol=1e-5, atol=1e-5)
    assert lost == pytest.approx(float(s[2:].norm() / s.norm()), rel=1e-6)
