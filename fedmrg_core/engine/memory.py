"""What the system does with a process's memory, where the default costs much. Linux and glibc; nothing elsewhere."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
MADV_DONTNEED = 4
"""Of madvise(2)."""


def settle_process() -> None:
    """What every process of a run does first: one thread for torch, so that bits do not depend on the machine; and
    freed memory stays with the process (glibc's mallopt, where there is one): pages that the kernel zeroes anew for
    each tensor cost several times the arithmetic that is done in them."""
    torch.set_num_threads(1)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
        mallopt(M_TRIM_THRESHOLD, 512 * 2**20)


def unmap_read_pages(bound: int = 64 * 2**20) -> None:
    """Keep the driver small: pages of the object store that it has read or written count as its own memory until it
    lets go of them. Nothing is lost: they are shared, and come back when they are touched. Linux only."""
    try:
        if shared_bytes(Path("/proc/self/status").read_text()) <= bound:
            return
        mappings = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for line in mappings:
        place, mode = line.split()[:2]
        if mode == "rw-s" and "/plasma" in line:
            start, end = (int(part, 16) for part in place.split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def shared_bytes(status: str) -> int:
    """RssShmem of the text of /proc/PID/status, in bytes; 0 where the kernel does not say."""
    _, found, rest = status.partition("RssShmem:")
    return int(rest.split()[0]) * 1024 if found else 0
