"""Large replies through memory that the driver shares with the actors on its own machine.

Ray's object store maps, faults in and frees fresh pages for every reply, which costs more than the arithmetic on them.
A slot is memory that is used again and again. Measured: without slots a client-round takes 1.4 times as long
at 1 MB and 1.5 times at 20 MB (docs/measurements.md).

`SlotPool` is the driver's side, `SlotClient` and `SlotWriter` are the actor's; a `SlotHandle` goes to the actor, a
`SlotRef` comes back in place of the payload. Without a slot (another machine or system, a reply that is too large, all
slots in use) the reply travels in its message as usual.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import secrets
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.engine.memory.wire import Packed

MIN_REPLY_BYTES = 2**16
"""Smaller replies travel in their message."""
SMALL_TOTAL_BYTES = 2**26
"""Up to this total, each actor gets two slots."""
MAX_TOTAL_BYTES = 2**28
"""Upper bound on the total size of all slots."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlotHandle:
    """One slot, in the form that travels to an actor: `size` bytes from `offset` on. path: opens the memory. target:
    what `path` must resolve to; on another machine it resolves to something else, or to nothing."""

    path: str
    target: str
    offset: int
    size: int


@dataclass(frozen=True)
class SlotRef:
    """Replaces a `Packed` whose buffer is in a slot, `size` bytes from `offset` on."""

    header: Any
    offset: int
    size: int


class SlotPool:
    """The driver's side: slots of `size` bytes in one anonymous file, which disappears with the process.

    2 x actors + 1 slots; actors + 1 if slots are large (SMALL_TOTAL_BYTES); fewer, or none, if that exceeds
    MAX_TOTAL_BYTES.
    """

    def __init__(self, actors: int, size: int = 0) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._actors = actors
        self.count = 0
        if self.size and hasattr(os, "memfd_create"):
            wanted = max(actors + 1, SMALL_TOTAL_BYTES // self.size)
            self.count = min(2 * actors + 1, wanted, MAX_TOTAL_BYTES // self.size)
        try:
            self._create()
        except OSError as error:
            _log.info("no memory slots (%s): replies travel in their messages", error.strerror)
            self.count = 0
        self.num_bytes = self.count * self.size
        self._free = list(range(0, self.num_bytes, self.size or 1))

    def _create(self) -> None:
        if not self.count:
            return
        name = f"fedmrg-{secrets.token_hex(8)}"
        file = os.memfd_create(name)
        weakref.finalize(self, os.close, file)
        os.ftruncate(file, self.count * self.size)
        self._map = _mapped(file, self.count * self.size)
        self._path, self._target = f"/proc/{os.getpid()}/fd/{file}", f"/memfd:{name} (deleted)"

    def resized_for(self, num_bytes: int) -> SlotPool:
        """These slots, or new ones if a reply of so many bytes does not fit them."""
        if num_bytes <= self.size or num_bytes < MIN_REPLY_BYTES:
            return self
        slots = SlotPool(self._actors, num_bytes)
        _log.debug("%d slots of %d bytes for replies of %d bytes", slots.count, slots.size, num_bytes)
        return slots

    def fresh(self) -> SlotPool:
        """New slots of the same size, for when a lost actor may still write into these."""
        return SlotPool(self._actors, self.size)

    @property
    def full(self) -> bool:
        """Whether there are slots and all of them are in use."""
        return self.num_bytes > 0 and not self._free

    def acquire(self) -> SlotHandle | None:
        """A free slot for one message, or None."""
        return SlotHandle(self._path, self._target, self._free.pop(0), self.size) if self._free else None

    def read(self, handle: SlotHandle | None, replies: list[Any]) -> list[Any]:
        """The replies of a message with their payloads again. Their buffers are views of the slot, which is free once
        the last view is gone (`Pool.map` says who must drop them)."""
        if handle is None:
            return replies
        slot = (ctypes.c_char * self.size).from_buffer(self._map, handle.offset)
        weakref.finalize(slot, self._free.append, handle.offset)
        memory = memoryview(slot)
        for index, name, value in _payloads(replies, SlotRef):
            buffer = np.frombuffer(memory, dtype=np.uint8, count=value.size, offset=value.offset)
            replies[index] = replace(replies[index], **{name: Packed(value.header, buffer)})
        return replies


def _mapped(file: int, size: int) -> mmap.mmap:
    """Shared memory with all pages present: faulting them in one by one costs several times as much."""
    return mmap.mmap(file, size, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))


def _payloads(replies: list[Any], kind: type[Any]) -> Iterator[tuple[int, str, Any]]:
    """(index, field, value) of each field of type `kind` in those replies that are dataclasses."""
    for index, reply in enumerate(replies):
        for each in fields(reply) if is_dataclass(reply) else ():
            value = getattr(reply, each.name)
            if isinstance(value, kind):
                yield index, each.name, value


class SlotClient:
    """An actor's side: maps the driver's memory once."""

    def __init__(self) -> None:
        self._target = ""
        self._memory: np.ndarray | None = None

    def open(self, handle: SlotHandle | None) -> SlotWriter:
        """The writer of a slot; one without memory if there is no slot, or it is out of reach."""
        memory = None if handle is None else self._map(handle)
        if handle is None or memory is None:
            return SlotWriter(np.empty(0, dtype=np.uint8))
        return SlotWriter(memory[handle.offset : handle.offset + handle.size])

    def _map(self, handle: SlotHandle) -> np.ndarray | None:
        """The driver's memory, or None if `path` resolves to something else: another machine, or slots are gone."""
        if self._target != handle.target:
            try:
                if os.readlink(handle.path) != handle.target:
                    return None
                file = os.open(handle.path, os.O_RDWR)
            except OSError:
                return None
            try:
                if os.readlink(f"/proc/self/fd/{file}") != handle.target:
                    return None
                self._memory = np.frombuffer(_mapped(file, 0), dtype=np.uint8)
            except OSError:
                return None
            finally:
                os.close(file)
            self._target = handle.target
        return self._memory


class SlotWriter:
    """Fills one slot. memory: uint8 [size]; empty if there is no slot, and the replies travel in their message."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self._next = 0

    def alloc(self, sizes: Sequence[int]) -> Tensor:
        """As `tree.alloc`, in the slot while it has space: a payload that is built here needs no copy later."""
        start = self._reserve(tree.offsets(sizes)[-1])
        return tree.alloc(sizes, None if start is None else self._memory[start:])

    def put(self, replies: list[Any]) -> tuple[list[Any], int]:
        """The replies of a message, with a `SlotRef` for each `Packed` that the slot holds; and the bytes of all their
        payloads."""
        payloads = list(_payloads(replies, Packed))
        total = tree.offsets(packed.num_bytes for *_, packed in payloads)[-1]
        if not len(self._memory) or total < MIN_REPLY_BYTES:
            return replies, total
        known = [self._offset_of(packed.buffer) for *_, packed in payloads]
        ends = [at + each[2].num_bytes for at, each in zip(known, payloads, strict=True) if at is not None]
        self._next = tree.offsets([max(ends, default=0)])[-1]  # buffers that were allocated but are not sent are reused
        stored = list(replies)
        for at, (index, name, packed) in zip(known, payloads, strict=True):
            offset = self._copy(packed.buffer) if at is None else at
            if offset is not None:
                stored[index] = replace(stored[index], **{name: SlotRef(packed.header, offset, packed.num_bytes)})
        return stored, total

    def _offset_of(self, buffer: np.ndarray) -> int | None:
        """The offset of a buffer that is in the slot already, or None."""
        offset = buffer.ctypes.data - self._memory.ctypes.data
        return offset if 0 <= offset < len(self._memory) else None

    def _copy(self, buffer: np.ndarray) -> int | None:
        """Copy a buffer into the slot; returns its offset, or None if the slot has no space."""
        start = self._reserve(buffer.nbytes)
        if start is not None:
            self._memory[start : start + buffer.nbytes] = buffer
        return start

    def _reserve(self, size: int) -> int | None:
        start = self._next
        if start + size > len(self._memory):
            return None
        self._next = tree.offsets([start + size])[-1]
        return start
