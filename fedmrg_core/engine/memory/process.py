"""Memory settings of a process whose defaults cost much time. They need Linux and glibc, and do nothing elsewhere."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
MADV_DONTNEED = 4
"""Advice of madvise(2)."""


def configure_process() -> None:
    """Called first in every process of a run: one torch thread, so that bits do not depend on the number of cores; and
    freed memory is reused (`reuse_freed_memory`)."""
    torch.set_num_threads(1)
    reuse_freed_memory(16 * 2**20)


def reuse_freed_memory(max_block: int) -> None:
    """Let the process keep freed buffers of up to `max_block` bytes (glibc's maximum is 32 MB). Otherwise the kernel
    zeroes new pages for each tensor, which costs several times the arithmetic on it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, max_block)
        mallopt(M_TRIM_THRESHOLD, 512 * 2**20)


def trim_heap() -> None:
    """Return freed memory to the system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def release_object_store_pages(limit: int = 16 * 2**20, other_shared: int = 0) -> None:
    """Unmap the object store's pages that this process has touched, once they exceed `limit` bytes: they count as its
    own memory. Nothing is lost, because they are shared and come back when touched again.

    other_shared: bytes of other shared memory in use, which are not counted.
    """
    if shared_memory_bytes() <= limit + other_shared:
        return
    for start, size in _object_store():
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_DONTNEED)


def _object_store() -> list[tuple[int, int]]:
    """Start and size of each mapping of the object store."""
    return [(start, end - start) for start, end, line in _maps() if "/dev/shm/plasma" in line and " rw-s " in line]


def are_file_backed(addresses: list[int]) -> list[bool]:
    """Whether each address is in a file that this process has mapped, whose pages are shared already."""
    files = [(start, end) for start, end, line in _maps() if "/" in line and line.split()[4] != "0"]
    return [any(start <= address < end for start, end in files) for address in addresses]


def _maps() -> list[tuple[int, int, str]]:
    """Start, end and line of each mapping; empty without /proc."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    return [(*(int(part, 16) for part in line.split(maxsplit=1)[0].split("-")), line) for line in lines]  # type: ignore[misc]


def shared_memory_bytes() -> int:
    """RssShmem: bytes of shared memory that count as this process's own; 0 without /proc."""
    try:
        with open("/proc/self/status", "rb") as status:  # called for every reply: pathlib takes five times as long
            _, found, rest = status.read().partition(b"RssShmem:")
    except OSError:
        return 0
    return int(rest.split()[0]) * 1024 if found else 0
