"""HetLoRA: zero-filled factors, weights by the size of products, and ranks that are pruned for good."""

from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.base import Update
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.hetlora import HetLoRA
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.seeding import generator
from fedmrg_core.types import State
from tests.stub import POINTS, A, B, E, StubRun

LORA = Tuning("lora", rank=2, alpha=4.0)
NAME_A, NAME_B = A.format("generic"), B.format("generic")


@pytest.mark.parametrize("ranks", [(), (2, 2)])
def test_equal_ranks_by_size_without_pruning_are_fedlora_to_the_bit(ranks: tuple[int, ...]) -> None:
    ours, plain = StubRun(HetLoRA(LORA, ranks=ranks, weights="size", pruning=0.0)), StubRun(FedLoRA(LORA))
    assert all(ours.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())


def state(value: float) -> State:
    """A pair of rank 2 whose product has norm 6 value^2: A and B are full of `value`."""
    return {E: torch.full((1,), value), NAME_A: torch.full((2, 3), value), NAME_B: torch.full((3, 2), value)}


def test_weights_by_norm_by_hand() -> None:
    """Products of 2 x 2 value^2 x 3: norms as 4 to 1, so factors are (4 x 2 + 1 x 1) / 5; e is by size, (2 + 3) / 4."""
    algorithm = HetLoRA(LORA, ranks=(), pruning=0.0)
    server = algorithm.init_server(state(0.0), 2)
    updates = [Update("h01", 1.0, {"delta": state(2.0)}), Update("h02", 3.0, {"delta": state(1.0)})]
    moved = algorithm.aggregate(server, updates, generator(0)).params
    torch.testing.assert_close(
        moved, {**{n: torch.full_like(t, 1.8) for n, t in state(0.0).items()}, E: torch.full((1,), 1.25)}
    )


def test_a_hospital_without_a_row_counts_as_zero_there() -> None:
    """Also if the server's row was not zero before."""
    algorithm = HetLoRA(LORA, ranks=(2, 1), weights="size", pruning=0.0)
    updates = [Update("h01", 1.0, {"delta": state(1.0)}), Update("h02", 1.0, {"delta": state(1.0)})]
    moved = algorithm.aggregate(algorithm.init_server(state(1.0), 2), updates, generator(0)).params
    torch.testing.assert_close(moved[NAME_A], torch.tensor([[2.0] * 3, [1.0] * 3]))
    torch.testing.assert_close(moved[NAME_B], torch.tensor([[2.0, 1.0]] * 3))


def test_equal_norms_are_a_uniform_mean() -> None:
    algorithm = HetLoRA(LORA, ranks=(), pruning=0.0)
    updates = [Update(c, w, {"delta": state(1.0)}) for c, w in (("h01", 1.0), ("h02", 9.0))]
    updates[1].payload["delta"][NAME_A].neg_()
    assert (
        algorithm.aggregate(algorithm.init_server(state(0.0), 2), updates, generator(0)).params[NAME_A].abs().max()
        < 1e-6
    )


def test_a_rank_whose_product_fell_is_pruned_for_good() -> None:
    """A strong loss on the last rank makes its product fall in round 2; from round 3 on the hospital sends zeros."""
    algorithm = HetLoRA(LORA, ranks=(), pruning=5.0, keep=0.5)
    run = StubRun(algorithm, {"rounds": 4, "adapter_lr": 0.02}, {"h01": POINTS["h01"]})
    assert int(run.private("h01")["memory:rank"]["rank"]) == 1
    assert run.server.params[NAME_A][1].abs().sum() < 1e-6
    assert run.server.params[NAME_B][:, 1].abs().sum() < 1e-6
    assert run.server.params[NAME_B][:, 0].abs().sum() > 0
