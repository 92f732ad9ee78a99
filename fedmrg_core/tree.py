"""Arithmetic on tensor dictionaries (`State`): the same few operations that every algorithm needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from math import isfinite

import torch

from fedmrg_core.types import State


def clone(state: Mapping[str, torch.Tensor]) -> State:
    """A copy that shares no memory with `state`."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def subtract(left: State, right: State) -> State:
    """`left - right`, name by name; both must hold the same names."""
    return {name: left[name] - right[name] for name in left}


def add(left: State, right: State, scale: float = 1.0) -> State:
    """`left + scale * right`; names that `right` lacks keep their value. The dtype of `left` stays."""
    return {
        name: (tensor + scale * right[name].to(tensor.dtype)) if name in right else tensor
        for name, tensor in left.items()
    }


def zeros_like(state: State) -> State:
    """Zeros with the same names, shapes and dtypes."""
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def weighted_mean(items: Iterable[tuple[State, float]]) -> State:
    """The weighted mean of states, folded one at a time in float64 (memory of one state, not of N).

    The order of `items` fixes the bits. Raises ValueError where there is no item or the weights add up to 0.
    """
    total: State = {}
    weight = 0.0
    dtypes: dict[str, torch.dtype] = {}
    scratch = torch.empty(0, dtype=torch.float64)
    for state, w in items:
        for name, tensor in state.items():
            if name not in total:
                total[name] = torch.zeros(tensor.shape, dtype=torch.float64)
                dtypes[name] = tensor.dtype
            if scratch.numel() < tensor.numel():
                scratch = torch.empty(tensor.numel(), dtype=torch.float64)
            total[name].add_(scratch[: tensor.numel()].view(tensor.shape).copy_(tensor), alpha=w)
        weight += w
    if weight <= 0:
        raise ValueError("weighted_mean: nothing to average (no update, or all weights 0)")
    return {name: total.pop(name).div_(weight).to(dtypes[name]) for name in list(total)}


def num_bytes(state: Mapping[str, torch.Tensor]) -> int:
    """Bytes of all tensors, as they would be sent."""
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def nonfinite(state: Mapping[str, torch.Tensor]) -> str | None:
    """The first name (sorted) whose tensor holds a NaN or an infinity, or None."""
    for name in sorted(state):
        tensor = state[name]
        if not tensor.is_floating_point() or isfinite(float(tensor.sum())):
            continue  # a NaN or an infinity makes the sum one; the sum is read 30 times faster than the elements are
        if not torch.isfinite(tensor).all():
            return name
    return None


def sha256(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over sorted (name, dtype, shape, bytes)."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
