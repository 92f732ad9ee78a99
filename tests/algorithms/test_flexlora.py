"""FlexLoRA: the applied update is the best low-rank approximation of the mean product, at every hospital's rank."""

from __future__ import annotations

import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Update
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.flexlora import FlexLoRA
from fedmrg_core.models.lora_ranks import slice_ranks
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.seeding import generator
from tests.stub import POINTS, A, B, StubRun

LORA = Tuning("lora", rank=2, alpha=4.0)
NAME_A, NAME_B = A.format("generic"), B.format("generic")


def test_at_equal_ranks_it_is_fedlora_with_svd_to_the_bit() -> None:
    ours, plain = StubRun(FlexLoRA(LORA, ranks=())), StubRun(FedLoRA(LORA, aggregation="svd"))
    assert all(ours.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())


def test_every_hospitals_slice_is_the_best_of_its_rank() -> None:
    """Public code splits U S and V without roots: its slices' product is off by up to 71 %."""
    algorithm, draw = FlexLoRA(Tuning("lora", rank=4), ranks=(4, 2, 1)), torch.Generator().manual_seed(0)
    zero = {NAME_A: torch.zeros(4, 8), NAME_B: torch.zeros(9, 4)}
    whole, updates = torch.zeros(9, 8), []
    for client, rank, weight in (("h01", 4, 3.0), ("h02", 2, 2.0), ("h03", 1, 5.0)):
        own = {name: torch.randn(tensor.shape, generator=draw) for name, tensor in zero.items()}
        part = slice_ranks(own, rank)
        whole += weight / 10 * part[NAME_B] @ part[NAME_A]
        updates.append(Update(client, weight, {"delta": own}))
    moved = algorithm.aggregate(algorithm.init_server(zero, 3), updates, generator(0)).params
    for rank in (1, 2, 4):
        part = slice_ranks(moved, rank)
        torch.testing.assert_close(part[NAME_B] @ part[NAME_A], best(whole, rank), rtol=1e-4, atol=1e-5)


def best(matrix: Tensor, rank: int) -> Tensor:
    u, s, vt = torch.linalg.svd(matrix)
    return (u[:, :rank] * s[:rank]) @ vt[:rank]


def test_one_hospital_keeps_its_own_product() -> None:
    run, plain = (StubRun(algorithm, {"rounds": 1}, {"h01": POINTS["h01"]})
                  for algorithm in (FlexLoRA(LORA, ranks=(2,)), FedLoRA(LORA)))  # fmt: skip
    products = [one.server.params[NAME_B] @ one.server.params[NAME_A] for one in (run, plain)]
    torch.testing.assert_close(*products)


def test_a_smaller_rank_sends_less() -> None:
    """A has 2 x 2 elements, B 3 x 2: 5 elements, 20 bytes, fewer for one rank less."""
    run = StubRun(FlexLoRA(LORA, ranks=(2, 1)))
    sent = {row["client"]: row["bytes"] for row in run.logs[0].ledger if row["direction"] == "upload"}
    assert sent["h01"] - sent["h02"] == 20
    assert sent["h01"] == sent["h03"]
