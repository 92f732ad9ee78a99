from __future__ import annotations

import pytest
import torch

from fedmrg_core import tree
from fedmrg_core.codec import IDENTITY, Codec, Int2, Int4, Int8, LowRank, Packed, Sign


def delta(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    shapes = {"linear.weight": (24, 40), "conv.weight": (16, 8, 3, 3), "linear.bias": (24,), "q.lora_A.g.w": (2, 40)}
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def test_identity_sends_the_very_tensors() -> None:
    sent, residue = IDENTITY.encode(delta(), {})
    assert all(sent[name].equal(tensor) for name, tensor in delta().items())
    assert residue == {}


@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_is_the_best_approximation(rank: int) -> None:
    """Eckart-Young: the error's norm is that of the singular values cut off."""
    codec = LowRank(rank=rank)
    for name, tensor in delta().items():
        back = codec.decode(codec.encode_tensor(name, tensor))[name]
        if tensor.dim() < 2 or ".lora_" in name:
            assert back.equal(tensor)
            continue
        cut = torch.linalg.svdvals(tensor.flatten(1).double())[rank:].square().sum().sqrt()
        assert float((back - tensor).norm()) == pytest.approx(float(cut), rel=1e-5)


def test_int8_is_off_by_half_a_step_at_most() -> None:
    tensor = delta()["linear.weight"]
    sent = Int8().encode_tensor("w", tensor)
    assert sent["w//q"].dtype == torch.int8
    assert float((Int8().decode(sent)["w"] - tensor).abs().max()) <= float(tensor.abs().max()) / 254 * 1.001


@pytest.mark.parametrize("codec", [Int4(), Int2(), Sign()])
@pytest.mark.parametrize("shape", [(24, 40), (40, 3), (5, 3, 3), (23,)])
def test_packed_bits_and_scales_are_all_that_is_sent(codec: Packed, shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    sent = codec.encode_tensor("w", tensor)
    assert sent["w//q"].numel() == -(-tensor.numel() * codec.bits // 8)
    assert sent["w//scale"].numel() == {(24, 40): 24, (40, 3): 3, (5, 3, 3): 5, (23,): 1}[shape]
    assert codec.decode(sent)["w"].shape == tensor.shape


def test_a_row_by_hand() -> None:
    row = torch.tensor([-7.0, -3.4, 0.2, 3.6, 0.0, 1.0, 2.0, -1.0, 5.0])

    def back(codec: Packed) -> list[float]:
        return codec.decode(codec.encode_tensor("w", row))["w"].tolist()

    assert back(Int4()) == [-7.0, -3.0, 0.0, 4.0, 0.0, 1.0, 2.0, -1.0, 5.0]
    rms, mean = float(row.square().mean().sqrt()), float(row.abs().mean())
    steps = [-1.5, -0.5, 0.5, 1.5, 0.5, 0.5, 0.5, -0.5, 1.5]  # rms is 3.41
    assert back(Int2()) == pytest.approx([rms * step for step in steps])
    assert back(Sign()) == pytest.approx([-mean, -mean, mean, mean, mean, mean, mean, -mean, mean])


@pytest.mark.parametrize("shape", [(24, 40), (5, 3, 3), (23,)])
def test_int4_is_off_by_half_a_step_of_its_row_at_most(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    back = Int4().decode(Int4().encode_tensor("w", tensor))["w"]
    rows = (lambda t: t.flatten(1)) if len(shape) > 1 else (lambda t: t[None])
    step = rows(tensor).abs().amax(dim=1, keepdim=True) / 7
    assert bool((rows(back - tensor).abs() <= step / 2 * 1.001).all())


@pytest.mark.parametrize("codec", [LowRank(rank=1), Int8(), Int4(), Int2(), Sign()])
def test_error_feedback_loses_nothing_for_good(codec: Codec) -> None:
    """What was sent over the rounds + the last residue = what was to be sent."""
    residue: dict[str, torch.Tensor] = {}
    sent_sum, wanted_sum = tree.zeros_like(delta()), tree.zeros_like(delta())
    for number in range(4):
        wanted_sum = tree.add(wanted_sum, delta(number))
        sent, residue = codec.encode(delta(number), residue)
        sent_sum = tree.add(sent_sum, codec.decode(sent))
    for name, tensor in tree.add(sent_sum, residue).items():
        torch.testing.assert_close(tensor, wanted_sum[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("codec", [Int8(), Int4()])
def test_running_statistics_go_whole_so_that_no_variance_turns_negative(codec: Codec) -> None:
    given = {"bn.running_var": torch.tensor([2.0, 0.01] * 8), "w": delta()["linear.weight"]}
    sent, residue = codec.encode(given, {})
    assert sent["bn.running_var"].equal(given["bn.running_var"])
    assert "bn.running_var" not in residue
    assert codec.decode(sent).keys() == given.keys()


def test_lossy_codecs_send_fewer_bytes() -> None:
    whole = tree.num_bytes(delta())
    assert tree.num_bytes(Int8().encode(delta(), {})[0]) < whole / 3
    for codec, share in ((Int4(), 5), (Int2(), 9), (Sign(), 13)):
        assert tree.num_bytes(codec.encode(delta(), {})[0]) < whole / share
    assert tree.num_bytes(LowRank(rank=1).encode(delta(), {})[0]) < whole / 3
