"""Packed payloads keep every bit."""

from __future__ import annotations

import torch

from fedmrg_core.engine.memory.wire import pack, unpack


def test_wire_keeps_every_bit_name_shape_and_dtype() -> None:
    payload = {
        "a": {"w": torch.randn(3, 5).T, "half": torch.randn(7).to(torch.bfloat16), "scalar": torch.tensor(2.0)},
        "b": {"none": torch.empty(0, 4), "int": torch.arange(5), "bool": torch.tensor([True, False])},
    }
    back = unpack(pack(payload))
    assert {g: list(s) for g, s in back.items()} == {g: list(s) for g, s in payload.items()}
    for group, state in payload.items():
        for name, tensor in state.items():
            assert back[group][name].dtype == tensor.dtype
            assert back[group][name].equal(tensor)
