"""Large payloads of replies through memory that the driver shares with the actors on its own machine.

An object store maps, faults in and frees other pages for every reply, which costs more than the arithmetic done with
it; a slot is used again and again. Where there is none (another machine or system, too large a reply, all in use) a
reply goes the ordinary way.
"""

from __future__ import annotations

import ctypes
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

LEAST, MANY, MOST = 2**16, 2**26, 2**28
"""Bytes below which a reply stays in its message; bytes of slots that are no matter; bytes of all slots, at most."""
NOWHERE = np.empty(0, dtype=np.uint8)
"""Memory of no slot."""


@dataclass(frozen=True)
class SlotHandle:
    """A slot, as an actor is told of it. link: opens the memory; name: what the link must lead to."""

    link: str
    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class SlotRef:
    """Stands for a `Packed` whose buffer lies in a slot, `size` bytes from `offset` on."""

    header: Any
    offset: int
    size: int


class SlotPool:
    """The driver's side: slots of `size` bytes in one anonymous file that ends with the process. Two an actor, and one
    for the reply that is being read; one an actor where they are large; fewer or none where that is too much."""

    def __init__(self, actors: int, size: int = 0) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._actors = actors
        self.count = 0
        if self.size and hasattr(os, "memfd_create"):
            self.count = min(2 * actors + 1, max(actors + 1, MANY // self.size), MOST // self.size)
        self.num_bytes = self.count * self.size
        self._free = list(range(0, self.num_bytes, self.size or 1))
        if self.count:
            name = f"fedmrg-{secrets.token_hex(8)}"
            file = os.memfd_create(name)
            weakref.finalize(self, os.close, file)
            os.ftruncate(file, self.num_bytes)
            self._map = _mapped(file, self.num_bytes)
            self._link, self._name = f"/proc/{os.getpid()}/fd/{file}", f"/memfd:{name} (deleted)"

    def fitting(self, wanted: int) -> SlotPool:
        """These slots, or new ones that hold a reply of so many bytes."""
        return self if wanted <= self.size or wanted < LEAST else SlotPool(self._actors, wanted)

    def renewed(self) -> SlotPool:
        """Others of the same size: for when somebody may still write into these."""
        return SlotPool(self._actors, self.size)

    @property
    def full(self) -> bool:
        """Whether there are slots and all of them are in use."""
        return self.num_bytes > 0 and not self._free

    def lease(self) -> SlotHandle | None:
        """A slot for one message, or None."""
        return SlotHandle(self._link, self._name, self._free.pop(0), self.size) if self._free else None

    def load(self, place: SlotHandle | None, replies: list[Any]) -> list[Any]:
        """The replies of a message as they were. Their buffers are views of the slot, which is free again once the last
        of them is gone."""
        if place is None:
            return replies
        slot = (ctypes.c_char * self.size).from_buffer(self._map, place.offset)
        weakref.finalize(slot, self._free.append, place.offset)
        memory = memoryview(slot)
        for number, name, value in _parts(replies, SlotRef):
            buffer = np.frombuffer(memory, dtype=np.uint8, count=value.size, offset=value.offset)
            replies[number] = replace(replies[number], **{name: Packed(value.header, buffer)})
        return replies


def _mapped(file: int, size: int) -> mmap.mmap:
    """Shared memory with its pages there from the start: one by one they would cost several times as much."""
    return mmap.mmap(file, size, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))


def _parts(replies: list[Any], kind: type[Any]) -> Iterator[tuple[int, str, Any]]:
    """(index, field, value) of each field of that kind in replies that are dataclasses."""
    for number, reply in enumerate(replies):
        for each in fields(reply) if is_dataclass(reply) else ():
            value = getattr(reply, each.name)
            if isinstance(value, kind):
                yield number, each.name, value


class SlotClient:
    """An actor's side: opens the driver's memory, once."""

    def __init__(self) -> None:
        self._name = ""
        self._memory: np.ndarray | None = None

    def at(self, place: SlotHandle | None) -> SlotWriter:
        """Where the replies of a message go."""
        memory = None if place is None else self._open(place)
        if place is None or memory is None:
            return SlotWriter(NOWHERE)
        return SlotWriter(memory[place.offset : place.offset + place.size])

    def _open(self, place: SlotHandle) -> np.ndarray | None:
        """The driver's memory; None where its link leads elsewhere: this is another machine, or the slots are gone."""
        if self._name != place.name:
            try:
                if os.readlink(place.link) != place.name:
                    return None
                file = os.open(place.link, os.O_RDWR)
            except OSError:
                return None
            try:
                if os.readlink(f"/proc/self/fd/{file}") != place.name:
                    return None
                self._memory = np.frombuffer(_mapped(file, 0), dtype=np.uint8)
            except OSError:
                return None
            finally:
                os.close(file)
            self._name = place.name
        return self._memory


class SlotWriter:
    """A slot being filled: memory uint8 [size], `NOWHERE` for none. What is made in its `room` need not be copied there
    later."""

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory
        self._next = 0

    def alloc(self, sizes: Sequence[int]) -> Tensor:
        """As `tree.alloc`; in the slot where there is place left."""
        start = self._take(tree.offsets(sizes)[-1])
        return tree.alloc(sizes, None if start is None else self._memory[start:])

    def put(self, replies: list[Any]) -> tuple[list[Any], int]:
        """The replies of a message with `SlotRef` for the `Packed` in them that the slot holds. And the bytes that all
        their buffers take."""
        parts = list(_parts(replies, Packed))
        total = tree.offsets(packed.num_bytes for *_, packed in parts)[-1]
        if not len(self._memory) or total < LEAST:
            return replies, total
        there = [self._place_of(packed.buffer) for *_, packed in parts]
        ends = [at + part[2].num_bytes for at, part in zip(there, parts, strict=True) if at is not None]
        self._next = tree.offsets([max(ends, default=0)])[-1]  # what was made behind them is not sent
        stored = list(replies)
        for at, (number, name, packed) in zip(there, parts, strict=True):
            offset = self._put(packed.buffer) if at is None else at
            if offset is not None:
                value = SlotRef(packed.header, offset, packed.num_bytes)
                stored[number] = replace(stored[number], **{name: value})
        return stored, total

    def _place_of(self, buffer: np.ndarray) -> int | None:
        """Where in the slot a buffer lies; None where it lies elsewhere."""
        offset = buffer.ctypes.data - self._memory.ctypes.data
        return offset if 0 <= offset < len(self._memory) else None

    def _put(self, buffer: np.ndarray) -> int | None:
        """Where a copy of a buffer lies in the slot from now on; None where there is no place left."""
        start = self._take(buffer.nbytes)
        if start is not None:
            self._memory[start : start + buffer.nbytes] = buffer
        return start

    def _take(self, size: int) -> int | None:
        start = self._next
        if start + size > len(self._memory):
            return None
        self._next = tree.offsets([start + size])[-1]
        return start
