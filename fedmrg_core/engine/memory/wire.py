"""Payloads as one flat buffer and a small header: what goes through Ray's object store, a pipe or a file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from fedmrg_core import tree
from fedmrg_core.errors import FedMRGError
from fedmrg_core.types import Payload


@dataclass(frozen=True)
class Packed:
    """header: (group, name, dtype, shape, offset) per tensor; buffer: uint8 [bytes]."""

    header: tuple[tuple[str, str, str, tuple[int, ...], int], ...]
    buffer: np.ndarray

    @property
    def num_bytes(self) -> int:
        return int(self.buffer.nbytes)

    @property
    def wanted_bytes(self) -> int:
        """Where the last tensor of the header ends."""
        ends = (offset + prod(shape) * getattr(torch, kind).itemsize for *_, kind, shape, offset in self.header)
        return max(ends, default=0)


def pack(payload: Payload) -> Packed:
    """Every tensor of a payload in one buffer: a copy, but for a payload of one group that lies in one already."""
    states = {g: {n: t.detach().cpu().contiguous() for n, t in state.items()} for g, state in payload.items()}
    named = [(group, name, tensor) for group, state in states.items() for name, tensor in state.items()]
    sizes = [tensor.nbytes for *_, tensor in named]
    places = tree.offsets(sizes)
    whole = tree.flat(next(iter(states.values()))) if len(states) == 1 else None
    if whole is None:
        whole = tree.alloc(sizes)
        for (*_, tensor), size, offset in zip(named, sizes, places, strict=False):
            whole[offset : offset + size].copy_(tensor.reshape(-1).view(torch.uint8))
    header = tuple(
        (group, name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), offset)
        for (group, name, tensor), offset in zip(named, places, strict=False)
    )
    return Packed(header, whole.view(torch.uint8).numpy())


def unpack(packed: Packed) -> Payload:
    """Tensors that are *views* of the buffer. One from an object store is shared and read-only: copy before writing.

    Raises FedMRGError where bytes are missing at the end.
    """
    payload: Payload = {}
    short = packed.num_bytes - packed.wanted_bytes
    if short < 0:
        raise FedMRGError(f"the payload is truncated: {packed.num_bytes} of {packed.wanted_bytes} bytes arrived")
    whole = torch.from_numpy(packed.buffer)
    for group, name, kind, shape, offset in packed.header:
        payload.setdefault(group, {})[name] = tree.view_at(whole, offset, getattr(torch, kind), shape)
    return payload


def _hush() -> None:
    """torch says once in a process that an array is read-only: let that be now, since a filter for each call would cost
    more than the call, and filters are of the whole process, threads or not."""
    array = np.empty(0, dtype=np.uint8)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(array)


_hush()
EMPTY = pack({})
