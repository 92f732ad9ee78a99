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
    freed memory of all but the largest buffers stays with it."""
    torch.set_num_threads(1)
    keep_freed(16 * 2**20)


def keep_freed(largest: int) -> None:
    """Freed buffers of up to `largest` bytes (32 MB is the most that glibc takes) stay with the process: pages that the
    kernel zeroes anew for each tensor cost several times the arithmetic that is done in them. Nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, largest)
        mallopt(M_TRIM_THRESHOLD, 512 * 2**20)


def give_back() -> None:
    """What was freed until now goes back to the system after all. Nothing without glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def unmap_read_pages(bound: int = 16 * 2**20, spare: int = 0) -> None:
    """Keep the driver small: pages of the object store that it has read or written count as its own memory until it
    lets go of them. Nothing is lost: they are shared, and come back when they are touched. Linux only.

    bound: bytes of them that may stay. spare: bytes of other shared memory that this process uses.
    """
    if shared_bytes() <= bound + spare:
        return
    for start, size in _object_store():
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_DONTNEED)


def _object_store() -> list[tuple[int, int]]:
    """Where the object store is mapped: start and bytes of each piece."""
    return [(start, end - start) for start, end, line in _maps() if "/dev/shm/plasma" in line and " rw-s " in line]


def from_files(addresses: list[int]) -> list[bool]:
    """Whether each address lies in a file that this process has mapped: pages that processes share already."""
    files = [(start, end) for start, end, line in _maps() if "/" in line and line.split()[4] != "0"]
    return [any(start <= address < end for start, end in files) for address in addresses]


def _maps() -> list[tuple[int, int, str]]:
    """Start, end and line of everything that is mapped; nothing where the kernel does not say."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    return [(*(int(part, 16) for part in line.split(maxsplit=1)[0].split("-")), line) for line in lines]  # type: ignore[misc]


def shared_bytes() -> int:
    """RssShmem: bytes of shared memory that count as this process's own; 0 where the kernel does not say."""
    try:
        with open("/proc/self/status", "rb") as status:  # once a reply: pathlib would take five times as long
            _, found, rest = status.read().partition(b"RssShmem:")
    except OSError:
        return 0
    return int(rest.split()[0]) * 1024 if found else 0
