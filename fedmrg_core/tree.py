"""Arithmetic on tensor dictionaries (`State`): the few operations that every algorithm needs.

A state whose tensors are in one buffer (`flat`) is processed in one call, with the same bits: on many small tensors,
the cost of a call exceeds that of the arithmetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite, prod

import numpy as np
import torch

from fedmrg_core.types import Payload, State

ALIGN = 64
"""Bytes: tensors in a packed buffer start on a SIMD boundary, so that kernels give the same bits as on fresh ones."""
Allocator = Callable[[Sequence[int]], torch.Tensor]
"""Returns a buffer for tensors of the given sizes, as `alloc` does."""
CHUNK = 2**18
"""Elements folded at a time, so that the float64 copies stay in the processor's cache."""


def offsets(sizes: Iterable[int]) -> list[int]:
    """Start offsets of tensors of these sizes (bytes), packed one after the other, and the end of the buffer.

    >>> offsets([4, 64, 65])
    [0, 64, 128, 256]
    """
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + -(-size // ALIGN) * ALIGN)
    return starts


def alloc(sizes: Sequence[int], memory: np.ndarray | None = None) -> torch.Tensor:
    """An uninitialised uint8 buffer for tensors of these sizes (bytes) at their `offsets`; the gaps are zero.

    memory: uint8 array to use, from its first `ALIGN`ed byte on; None allocates a new one.
    """
    *starts, end = offsets(sizes)
    buffer = np.empty(end + ALIGN, dtype=np.uint8) if memory is None else memory
    buffer = buffer[-buffer.ctypes.data % ALIGN :][:end]
    for offset, size in zip(starts, sizes, strict=True):
        if size % ALIGN:
            buffer[offset + size : offset + size + ALIGN - size % ALIGN] = 0
    return torch.from_numpy(buffer)


def _unset(count: int, dtype: torch.dtype) -> torch.Tensor:
    """An uninitialised vector of `count` elements. Memory from numpy, which uses huge pages; torch's does not."""
    return torch.from_numpy(np.empty(count * dtype.itemsize, dtype=np.uint8)).view(dtype)


def view_at(buffer: torch.Tensor, offset: int, dtype: torch.dtype, shape: Sequence[int]) -> torch.Tensor:
    """The tensor that starts at byte `offset` of a uint8 buffer, as a view."""
    return buffer[offset : offset + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


def flat(state: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """All elements of a state as one vector, gaps included; None unless its tensors have one dtype and follow each
    other in one buffer, as `flat_like` packs them."""
    tensors = list(state.values())
    if not tensors:
        return None
    first = tensors[0]
    storage, start, step = first.untyped_storage().data_ptr(), first.storage_offset(), ALIGN // first.element_size()
    after = end = start
    for tensor in tensors:
        found = (tensor.dtype, tensor.storage_offset(), tensor.untyped_storage().data_ptr())
        if found != (first.dtype, after, storage) or not tensor.is_contiguous():
            return None
        end = after + tensor.numel()
        after += -(-tensor.numel() // step) * step
    return first.as_strided((end - start,), (1,), start)


def _views(vector: torch.Tensor, state: State) -> State:
    """A state whose `flat` is `vector`, with the layout of `state`."""
    start = next(iter(state.values())).storage_offset()
    starts = {name: tensor.storage_offset() - start for name, tensor in state.items()}
    return {n: vector[starts[n] : starts[n] + t.numel()].view(t.shape) for n, t in state.items()}


def _shapes(state: State) -> list[tuple[str, torch.Size, torch.dtype]]:
    """Two flat states with equal shapes have equal layouts, so their vectors can be combined."""
    return [(name, tensor.shape, tensor.dtype) for name, tensor in state.items()]


def clone(state: Mapping[str, torch.Tensor]) -> State:
    """A copy that shares no memory with `state`."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def flat_like(state: Mapping[str, torch.Tensor], allocator: Allocator = alloc) -> State:
    """An uninitialised state in one buffer, with the names, shapes and dtypes of `state`."""
    sizes = [tensor.nbytes for tensor in state.values()]
    buffer = allocator(sizes)
    return {n: view_at(buffer, at, t.dtype, t.shape) for (n, t), at in zip(state.items(), offsets(sizes), strict=False)}


def as_flat(state: State) -> State:
    """The same values in one buffer; the state itself if it is in one already."""
    if flat(state) is not None:
        return state
    copy = flat_like(state)
    return {name: copy[name].copy_(tensor) for name, tensor in state.items()}


def subtract(left: State, right: State, allocator: Allocator = alloc) -> State:
    """`left - right`, name by name, in one buffer from `allocator`. `right` must have every name of `left`."""
    difference = flat_like(left, allocator)
    return {name: torch.sub(tensor, right[name], out=difference[name]) for name, tensor in left.items()}


def add(left: State, right: State, scale: float = 1.0) -> State:
    """`left + scale * right` in the dtypes of `left`; names that `right` lacks keep their value."""
    ours, theirs = flat(left), flat(right)
    if ours is not None and theirs is not None and _shapes(left) == _shapes(right):
        total = _unset(len(ours), ours.dtype)
        return _views(torch.add(ours, theirs if scale == 1 else scale * theirs, out=total), left)
    return {
        name: (tensor + scale * right[name].to(tensor.dtype)) if name in right else tensor
        for name, tensor in left.items()
    }


def by_path(payload: Payload, prefix: str = "") -> State:
    """The tensors of all groups in one state, as `prefix` + `group/name`."""
    return {f"{prefix}{group}/{name}": tensor for group, state in payload.items() for name, tensor in state.items()}


def zeros_like(state: State) -> State:
    """Zeros with the same names, shapes and dtypes."""
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def weighted_mean(items: Iterable[tuple[State, float]]) -> State:
    """The weighted mean of states, folded one at a time in float64: memory for one state, not for N.

    The order of `items` decides the bits. Raises ValueError if there is no item, or the weights add up to 0.
    """
    total: State = {}
    whole, shapes = None, None
    weight = 0.0
    dtypes: dict[str, torch.dtype] = {}
    scratch = torch.empty(CHUNK, dtype=torch.float64)
    for state, w in items:
        vector = flat(state)
        if not total and vector is not None:
            whole, shapes = _unset(len(vector), torch.float64).zero_(), _shapes(state)
            total = _views(whole, state)
        if whole is not None and vector is not None and _shapes(state) == shapes:
            _fold(whole, vector, w, scratch)
        else:
            for name, tensor in state.items():
                if name not in total:
                    total[name] = torch.zeros(tensor.shape, dtype=torch.float64)
                _fold(total[name], tensor, w, scratch)
        dtypes.update({name: tensor.dtype for name, tensor in state.items() if name not in dtypes})
        weight += w
        del state, vector  # its memory is reused for the next (see `Pool.map`)
    if weight <= 0:
        raise ValueError("weighted_mean: nothing to average (no update, or all weights 0)")
    if whole is not None and len(shapes or ()) == len(total):
        mean = _unset(len(whole), next(iter(dtypes.values())))
        return _views(mean.copy_(whole.div_(weight)), total)
    return {name: total.pop(name).div_(weight).to(dtypes[name]) for name in list(total)}


def _fold(total: torch.Tensor, tensor: torch.Tensor, weight: float, scratch: torch.Tensor) -> None:
    """`total += weight * tensor` in float64. scratch: float64 [CHUNK]."""
    sums, values = total.view(-1), tensor.reshape(-1)
    for start in range(0, len(sums), CHUNK):
        part = values[start : start + CHUNK]
        sums[start : start + CHUNK].add_(scratch[: len(part)].copy_(part), alpha=weight)


def num_bytes(state: Mapping[str, torch.Tensor]) -> int:
    """Bytes of all tensors, without gaps: the size on the wire."""
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def nonfinite(state: Mapping[str, torch.Tensor]) -> str | None:
    """The first name in sorted order whose tensor has a NaN or an infinity, or None."""
    vector = flat(state)
    if vector is not None and vector.is_floating_point() and isfinite(float(vector.sum())):
        return None
    for name in sorted(state):
        tensor = state[name]
        if not tensor.is_floating_point() or isfinite(float(tensor.sum())):
            continue  # a NaN or an infinity makes the sum one too, and a sum is 30 times faster than a test of each
        if not torch.isfinite(tensor).all():
            return name
    return None


def sha256(*states: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over the sorted (name, dtype, shape, bytes) of states that have no name in common."""
    digest = hashlib.sha256()
    owner = {name: state for state in states for name in state}
    for name in sorted(owner):
        tensor = owner[name][name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
