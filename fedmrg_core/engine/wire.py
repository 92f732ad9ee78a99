"""Payloads as one flat buffer and a small header: what goes through Ray's object store, a pipe or a file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from fedmrg_core.types import FedMRGError, Payload

ALIGN = 64
"""Bytes: every tensor starts on a boundary that vector instructions like, so that views behave like fresh tensors."""


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
    """Copy every tensor of a payload into one buffer."""
    header, offset = [], 0
    flat: list[tuple[int, torch.Tensor]] = []
    for group, state in payload.items():
        for name, tensor in state.items():
            tensor = tensor.detach().cpu().contiguous()
            header.append((group, name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), offset))
            flat.append((offset, tensor))
            offset += -(-tensor.nbytes // ALIGN) * ALIGN
    buffer = np.empty(offset, dtype=np.uint8)
    whole = torch.from_numpy(buffer)
    for start, tensor in flat:
        whole[start : start + tensor.nbytes].copy_(tensor.reshape(-1).view(torch.uint8))
    return Packed(tuple(header), buffer)


def unpack(packed: Packed) -> Payload:
    """Tensors that are *views* of the buffer. One from an object store is shared and read-only: copy before writing.

    Raises FedMRGError where bytes are missing at the end.
    """
    payload: Payload = {}
    short = packed.num_bytes - packed.wanted_bytes
    if short < 0:
        raise FedMRGError(f"the payload is truncated: {packed.num_bytes} of {packed.wanted_bytes} bytes arrived")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        whole = torch.from_numpy(packed.buffer)
    for group, name, kind, shape, offset in packed.header:
        dtype = getattr(torch, kind)
        size = prod(shape) * dtype.itemsize
        payload.setdefault(group, {})[name] = whole[offset : offset + size].view(dtype).reshape(shape)
    return payload


EMPTY = pack({})
