"""The interface carries a rank per client (HetLoRA, Cho et al., EMNLP 2024): only slices of the factors travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm, Client
from fedmrg_core.models.lora_ranks import pad_ranks, slice_ranks
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.types import Payload
from tests.stub import A, B, StubRun

LORA = Tuning("lora", rank=3, alpha=3.0)
FACTOR_A, FACTOR_B = A.format("generic"), B.format("generic")


@dataclass(frozen=True)
class Ranks(Algorithm):
    """ranks: of some clients; the others have the tuning's."""

    tuning: Tuning = LORA
    ranks: Mapping[str, int] = field(default_factory=dict)

    def rank_of(self, client_id: str) -> int | None:
        return self.ranks.get(client_id)

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        for row in range(self.rank_of(client.client_id) or 3, 3):
            assert client.shared()[FACTOR_A][row].abs().sum() == 0
            assert client.shared()[FACTOR_B][:, row].abs().sum() == 0
        return payload


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_rows_beyond_a_clients_rank_stay_zero_and_are_not_sent(optimizer: str) -> None:
    """A has 3 x 2 elements, B 3 x 3, e 2: 68 bytes at rank 3, and 5 elements fewer for each rank less."""
    run = StubRun(Ranks(ranks={"h02": 1, "h03": 2}), {"optimizer": optimizer, "weight_decay": 0.1})
    for direction in ("download", "upload"):
        rows = [row for row in run.logs[0].ledger if row["direction"] == direction]
        assert {row["client"]: row["bytes"] for row in rows} == {"h01": 68, "h02": 28, "h03": 48}


def test_a_client_below_the_servers_rank_leaves_the_rows_that_it_does_not_have() -> None:
    run = StubRun(Ranks(ranks={"h02": 1}), points={"h02": [(-1.0, 2.0)]})
    assert run.server.params[FACTOR_A][1:].equal(run.initial.params[FACTOR_A][1:])
    assert not run.server.params[FACTOR_A][:1].equal(run.initial.params[FACTOR_A][:1])


def test_full_ranks_are_fedlora_to_the_bit() -> None:
    runs = [StubRun(Ranks(ranks=ranks)).server.params for ranks in ({}, {"h01": 3, "h02": 3, "h03": 3})]
    assert all(runs[0][name].equal(runs[1][name]) for name in runs[0])


def test_a_slice_filled_up_computes_the_slices_product() -> None:
    draw = torch.Generator().manual_seed(0)
    whole = {FACTOR_A: torch.randn(3, 4, generator=draw), FACTOR_B: torch.randn(5, 3, generator=draw)}
    part = slice_ranks(whole, 2)
    assert (part[FACTOR_A].shape, part[FACTOR_B].shape) == ((2, 4), (5, 2))
    filled = pad_ranks(part, {name: tensor.shape for name, tensor in whole.items()}, 2)
    torch.testing.assert_close(filled[FACTOR_B] @ filled[FACTOR_A], part[FACTOR_B] @ part[FACTOR_A])
    assert slice_ranks(whole, None) is whole
    assert slice_ranks(whole, 9)[FACTOR_A].equal(whole[FACTOR_A])
