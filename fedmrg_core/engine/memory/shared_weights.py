"""One copy of the frozen parameters per machine: all its processes map one file, and so share its pages.

The file is next to the base and is written once. Before a process uses it, it compares every byte with the parameters
it loaded itself, so the file cannot change a bit; a file that differs is written again. If no file can be had, the
process keeps its own copy. The mapping is copy-on-write: a stray write affects only the writing process. Tensors in the
file are aligned as fresh tensors are, since alignment can decide bits.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from fedmrg_core import tree
from fedmrg_core.engine.memory.process import are_file_backed, trim_heap
from fedmrg_core.files import replacing

MIN_SHARED_BYTES = 2**24
"""Fewer frozen parameters are not shared: a copy per process costs less than a file."""
LOCK_WAIT_S = 600.0
"""Longest wait for another process that loads or writes the same base; after that this process goes on without."""

_log = logging.getLogger(__name__)


class SharedWeights:
    """The shared parameters of one base. `with weights:` around loading lets the processes of a machine load it one
    after the other, so that they do not all hold a copy of their own at the same time."""

    def __init__(self, base: Path, min_bytes: int = MIN_SHARED_BYTES) -> None:
        """base: its folder. min_bytes: fewer frozen parameters than this are not shared."""
        self._base, self._min_bytes = base, min_bytes
        self._lock = FileLock(base.with_name(f".{base.name}.frozen.lock"), timeout=LOCK_WAIT_S)

    def __enter__(self) -> SharedWeights:
        with suppress(OSError):  # a read-only folder, or a lock that is never released: loading goes on without
            self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def share(self, model: nn.Module, trainable: Mapping[str, Tensor]) -> int:
        """Map the CPU parameters of `model` that are not in `trainable` from the shared file; returns their bytes.

        0 if they are too few, or the file can be neither read nor written. Parameters that are mapped from a file
        already stay as they are: transformers maps a checkpoint whose precision it does not change.
        """
        fixed = {n: p for n, p in model.named_parameters() if n not in trainable and p.device.type == "cpu"}
        mapped = are_file_backed([p.data_ptr() for p in fixed.values()])
        frozen = {n: p for (n, p), skip in zip(fixed.items(), mapped, strict=True) if p.is_contiguous() and not skip}
        size = tree.num_bytes(frozen)
        if not frozen or size < self._min_bytes:
            return 0
        file = self._base / f"frozen-{_layout(frozen)}.pages"
        with self:
            for attempt in (_map, _write, _map):
                with suppress(OSError, ValueError):
                    if attempt(frozen, file):
                        trim_heap()
                        return size
        _log.info("%s cannot be shared between processes: this one keeps its own copy of %d bytes", file, size)
        return 0


def _layout(frozen: Mapping[str, nn.Parameter]) -> str:
    lines = [f"{name} {p.dtype} {tuple(p.shape)}" for name, p in frozen.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _map(frozen: Mapping[str, nn.Parameter], file: Path) -> bool:
    """Map the parameters from the file; False, and nothing changed, if it does not hold the very same bytes."""
    *starts, end = tree.offsets(p.nbytes for p in frozen.values())
    if file.stat().st_size != end:
        return False
    whole = torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="c"))
    shared = [tree.view_at(whole, at, p.dtype, p.shape) for at, p in zip(starts, frozen.values(), strict=True)]
    for own, mapped in zip(frozen.values(), shared, strict=True):
        if not torch.equal(_bytes(own), _bytes(mapped)):
            return False
    for parameter, tensor in zip(frozen.values(), shared, strict=True):
        parameter.data = tensor
    return True


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _write(frozen: Mapping[str, nn.Parameter], file: Path) -> bool:
    """Write the file whole or not at all; processes that map a former one keep its pages. Returns False: the file is
    still to be mapped."""
    *starts, end = tree.offsets(p.nbytes for p in frozen.values())
    with replacing(file) as temporary, temporary.open("wb") as out:
        for at, parameter in zip(starts, frozen.values(), strict=True):
            out.seek(at)
            out.write(_bytes(parameter).numpy().data)
        out.truncate(end)
    return False
