"""RoLoRA: B moves in the first round, A in the second; the one that rests is neither trained nor sent."""

from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.ffa_lora import FFALoRA
from fedmrg_core.algorithms.rolora import RoLoRA
from fedmrg_core.codec import Int8
from fedmrg_core.models.tuning import Tuning
from tests.stub import POINTS, A, B, E, StubRun, means

LORA = Tuning("lora", rank=2, alpha=4.0)
FIRST = torch.tensor([[0.3, 0.3], [0.15, -0.15]])
NAME_A, NAME_B = A.format("generic"), B.format("generic")


def test_the_first_round_is_ffa_loras_to_the_bit_and_no_round_is_lost() -> None:
    """Public code begins with A, whose gradient is 0 while B is 0."""
    ours, ffa = (StubRun(cls(LORA), {"rounds": 1}).server.params for cls in (RoLoRA, FFALoRA))
    assert ours[NAME_A].equal(FIRST)
    assert ours[NAME_B].equal(ffa[NAME_B])
    assert ours[NAME_B].abs().max() > 1e-3


def test_the_second_round_moves_a_alone_and_exactly() -> None:
    """Full step a: A -= a sum p_k B^T s (s B A - M_k), and s B mean(A) is the mean of the products."""
    a, s, train = 0.05, 2.0, {"local_steps": 1, "batch_size": 4, "adapter_lr": 0.05}
    first, run = StubRun(RoLoRA(LORA), {**train, "rounds": 1}).server.params, StubRun(RoLoRA(LORA), train)
    mean_a = FIRST.clone()
    for client, mean in means().items():
        mean_a -= len(POINTS[client]) / 7 * a * first[NAME_B].T @ (s * (s * first[NAME_B] @ FIRST - mean.expand(3, 2)))
    torch.testing.assert_close(run.server.params[NAME_A], mean_a)
    assert run.server.params[NAME_B].equal(first[NAME_B])


def test_only_the_factor_that_moved_is_sent() -> None:
    run = StubRun(RoLoRA(LORA))
    sent = [log.row["upload_bytes"] / 3 for log in run.logs]
    e, b, a = (run.server.params[name].nbytes for name in (E, NAME_B, NAME_A))
    assert sent == [e + b, e + a]


@pytest.mark.parametrize("rounds", [4])
def test_a_lossy_codec_keeps_the_resting_factors_residue(rounds: int) -> None:
    """Error feedback is of each factor's last turn, not lost in the other's."""
    run = StubRun(RoLoRA(LORA, codec=Int8()), {"rounds": rounds}, start={E: [0.0, 0.0]})
    assert set(run.private("h01")["residue"]) == {E, NAME_A, NAME_B}
