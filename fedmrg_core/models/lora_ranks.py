"""Slices of LoRA factors, for clients that train a smaller rank than the server holds.

A client of rank r works on the first r rows of each A and the first r columns of each B. Filled up with zeros to the
full rank, the factors compute the same function, and the zero rows and columns get no gradient: d/dA[j] is a multiple
of B[:, j] and d/dB[:, j] one of A[j].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedmrg_core.types import State

A, B = ".lora_A.", ".lora_B."


def sliced_shape(name: str, shape: Sequence[int], rank: int | None) -> tuple[int, ...]:
    """The shape that a tensor of this name has at a client of that rank; None = the full rank."""
    if rank is None or not (A in name or B in name):
        return tuple(shape)
    return (min(rank, shape[0]), *shape[1:]) if A in name else (shape[0], min(rank, shape[1]))


def slice_ranks(state: State, rank: int | None) -> State:
    """The state with the first `rank` rows of every A and columns of every B; other tensors are the same objects.

    >>> slice_ranks({"q.lora_A.g.w": torch.ones(4, 9), "q.lora_B.g.w": torch.ones(5, 4)}, 2)["q.lora_B.g.w"].shape
    torch.Size([5, 2])
    """
    if rank is None:
        return state
    return {name: tensor[_part(sliced_shape(name, tensor.shape, rank))] for name, tensor in state.items()}


def pad_ranks(state: State, shapes: Mapping[str, Sequence[int]], rank: int | None) -> State:
    """The inverse: every factor filled up with zeros to its shape in `shapes`."""
    if rank is None:
        return state
    return {name: _padded(tensor, shapes[name]) for name, tensor in state.items()}


def _part(shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(size) for size in shape)


def _padded(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    if tensor.shape == torch.Size(shape):
        return tensor
    whole = tensor.new_zeros(shape)
    whole[_part(tensor.shape)] = tensor
    return whole
