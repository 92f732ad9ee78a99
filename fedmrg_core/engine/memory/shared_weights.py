"""One copy of the frozen parameters on a machine: its processes map one file, and so the same pages of memory.

The mapping is private (copy on write): who should write into it writes into a page of its own. The file lies beside
the base, is written once, and every process compares it byte by byte with what it loaded itself before it uses it, so
that it cannot change a bit; where it differs it is written anew, and where there is none to be had the process keeps
its own copy. In it tensors are aligned as fresh ones are, since alignment can decide bits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from fedmrg_core import tree
from fedmrg_core.engine.memory.process import from_files, give_back

LEAST = 2**24
"""Bytes of frozen parameters from which on sharing pays; below, a copy a process costs less than a file."""
WAIT_S = 600.0
"""The longest wait for another process that loads or writes the same base; then one's own copy does."""


class SharedWeights:
    """A base's shared memory. `with frozen:` around loading has one process of a machine after the other load it, so
    that not all of them hold a copy of their own at the same time."""

    def __init__(self, base: Path, least: int = LEAST) -> None:
        """base: its folder. least: bytes of frozen parameters below which every process keeps its own."""
        self._base, self._least = base, least
        self._lock = FileLock(base.with_name(f".{base.name}.frozen.lock"), timeout=WAIT_S)

    def __enter__(self) -> SharedWeights:
        with suppress(OSError):  # a folder that cannot be written, or who does not let go: no reason to stop
            self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def share(self, model: nn.Module, moving: Mapping[str, Tensor]) -> int:
        """Re-bind the parameters of `model` on the CPU that are not `moving` to shared memory; returns their bytes.

        0 where they are too few, or the file can be neither read nor written. Those that lie in a mapped file stay
        there: transformers maps a checkpoint whose precision it keeps.
        """
        still = {n: p for n, p in model.named_parameters() if n not in moving and p.device.type == "cpu"}
        mapped = from_files([p.data_ptr() for p in still.values()])
        frozen = {n: p for (n, p), there in zip(still.items(), mapped, strict=True) if p.is_contiguous() and not there}
        size = tree.num_bytes(frozen)
        if not frozen or size < self._least:
            return 0
        file = self._base / f"frozen-{_layout(frozen)}.pages"
        with self:
            for attempt in (_rebind, _write, _rebind):
                with suppress(OSError, ValueError):
                    if attempt(frozen, file):
                        give_back()
                        return size
        return 0


def _layout(frozen: Mapping[str, nn.Parameter]) -> str:
    said = [f"{name} {p.dtype} {tuple(p.shape)}" for name, p in frozen.items()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def _rebind(frozen: Mapping[str, nn.Parameter], file: Path) -> bool:
    """Whether the file held the very same bytes: then the parameters lie there now."""
    *places, end = tree.offsets(p.nbytes for p in frozen.values())
    if file.stat().st_size != end:
        return False
    whole = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="c"))
    shared = [tree.view_at(whole, at, p.dtype, p.shape) for at, p in zip(places, frozen.values(), strict=True)]
    for mine, theirs in zip(frozen.values(), shared, strict=True):
        if not torch.equal(_bytes(mine), _bytes(theirs)):
            return False
    for parameter, tensor in zip(frozen.values(), shared, strict=True):
        parameter.data = tensor
    return True


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _write(frozen: Mapping[str, nn.Parameter], file: Path) -> bool:
    """It appears whole or not at all; who maps a former one keeps that. Always False: it is yet to be mapped."""
    *places, end = tree.offsets(p.nbytes for p in frozen.values())
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as out:
            for at, parameter in zip(places, frozen.values(), strict=True):
                out.seek(at)
                out.write(_bytes(parameter).numpy().data)
            out.truncate(end)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return False
