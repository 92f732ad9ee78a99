"""Payloads as one flat buffer and a small header, the form in which they travel and are stored."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from fedmrg_core import tree
from fedmrg_core.errors import FedMRGError
from fedmrg_core.types import Payload

Header = tuple[tuple[str, str, str, tuple[int, ...], int], ...]
"""(group, name, dtype, shape, offset) per tensor."""


@dataclass(frozen=True)
class Packed:
    """A packed payload. buffer: uint8 [bytes]."""

    header: Header
    buffer: np.ndarray

    @property
    def num_bytes(self) -> int:
        return int(self.buffer.nbytes)

    @property
    def expected_bytes(self) -> int:
        """The bytes that the header describes: the end of its last tensor."""
        ends = (offset + prod(shape) * getattr(torch, kind).itemsize for *_, kind, shape, offset in self.header)
        return max(ends, default=0)


def pack(payload: Payload) -> Packed:
    """Every tensor of a payload in one buffer. A copy, unless the payload is one group in one buffer already."""
    states = {g: {n: t.detach().cpu().contiguous() for n, t in state.items()} for g, state in payload.items()}
    named = [(group, name, tensor) for group, state in states.items() for name, tensor in state.items()]
    sizes = [tensor.nbytes for *_, tensor in named]
    offsets = tree.offsets(sizes)
    whole = tree.flat(next(iter(states.values()))) if len(states) == 1 else None
    if whole is None:
        whole = tree.alloc(sizes)
        for (*_, tensor), size, offset in zip(named, sizes, offsets, strict=False):
            whole[offset : offset + size].copy_(tensor.reshape(-1).view(torch.uint8))
    header = tuple(
        (group, name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), offset)
        for (group, name, tensor), offset in zip(named, offsets, strict=False)
    )
    return Packed(header, whole.view(torch.uint8).numpy())


def unpack(packed: Packed) -> Payload:
    """The payload; its tensors are *views* of the buffer. Copy before writing: other processes may read it too.

    Raises FedMRGError if bytes are missing at the end.
    """
    payload: Payload = {}
    if packed.num_bytes < packed.expected_bytes:
        raise FedMRGError(f"the payload is truncated: {packed.num_bytes} of {packed.expected_bytes} bytes arrived")
    whole = torch.from_numpy(packed.buffer)
    for group, name, kind, shape, offset in packed.header:
        payload.setdefault(group, {})[name] = tree.view_at(whole, offset, getattr(torch, kind), shape)
    return payload


def _silence_read_only_warning() -> None:
    """torch warns once per process about a read-only array. Provoke the warning here, where it is ignored: a filter
    around each call would cost more than the call, and filters apply to all threads."""
    array = np.empty(0, dtype=np.uint8)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.from_numpy(array)


_silence_read_only_warning()
EMPTY = pack({})
