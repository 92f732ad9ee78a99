"""The clients' private states, kept by the driver: what a client will find again in its next round."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fedmrg_core.engine.memory.wire import EMPTY, Packed, unpack
from fedmrg_core.types import Payload

BOUND = 2**30
"""Bytes of private states, staged ones included, that stay in memory; further ones lie in an unnamed temporary file."""


class ClientStore:
    """Private states by client. A round's new states are staged and commit together, once its updates are accepted.

    `last`: the accepted updates that the policy reuse_last may need, kept in the same way.
    """

    def __init__(self, bound: int = BOUND) -> None:
        self._states = _Shelf(bound)
        self._last = _Shelf(bound)

    def clients(self) -> list[str]:
        """Clients that have a private state, sorted."""
        return self._states.names()

    def get(self, client_id: str) -> Packed:
        """A client's private state; empty before its first round."""
        return self._states.get(client_id)

    def put(self, client_id: str, private: Packed) -> None:
        """Set a state at once (loading a checkpoint)."""
        self._states.put(client_id, private)

    def remembered(self) -> list[str]:
        """Clients whose last accepted update is kept, sorted."""
        return self._last.names()

    def last(self, client_id: str) -> Packed:
        """A client's last accepted update, decoded; empty where none is kept."""
        return self._last.get(client_id)

    def put_last(self, client_id: str, update: Packed) -> None:
        """Set a last update at once (loading a checkpoint)."""
        self._last.put(client_id, update)

    def stage(self, client_id: str, private: Packed, update: Packed | None = None) -> None:
        """Hold a new state until `commit`: a copy, for a view would pin the whole reply where it lies."""
        if private.header:
            self._states.stage(client_id, private)
        if update is not None:
            self._last.stage(client_id, update)

    def commit(self) -> None:
        """Accept all staged states."""
        self._states.commit()
        self._last.commit()

    def rollback(self) -> None:
        """Forget all staged states."""
        self._states.rollback()
        self._last.rollback()

    def state_for_hash(self, prefix: str = "") -> Mapping[str, Tensor]:
        """Every private tensor under `prefix` + `client/group/name`, one client's in memory at a time."""
        return _Everything(self, prefix)

    @property
    def num_bytes(self) -> tuple[int, int]:
        """Bytes in memory, and bytes of the temporary files."""
        shelves = (self._states, self._last)
        return sum(shelf.used for shelf in shelves), sum(shelf.end for shelf in shelves)


@dataclass(frozen=True)
class _Placed:
    """A state in the file: `size` bytes from `offset` on, in a place for `room`."""

    header: Any
    offset: int
    size: int
    room: int


class _Shelf:
    """Packed payloads by name: in memory up to `bound` bytes, beyond it in a file that vanishes with the process.

    A staged one lies beside the one that it may replace, whose place is free once it has.
    """

    def __init__(self, bound: int) -> None:
        self.used, self.end = 0, 0
        self._bound = bound
        self._kept: dict[str, Packed | _Placed] = {}
        self._staged: dict[str, Packed | _Placed] = {}
        self._free: list[_Placed] = []
        self._file: Any = None

    def names(self) -> list[str]:
        return sorted(self._kept)

    def get(self, name: str) -> Packed:
        kept = self._kept.get(name, EMPTY)
        if isinstance(kept, Packed):
            return kept
        return Packed(kept.header, _read(self._file.fileno(), kept.size, kept.offset))

    def put(self, name: str, packed: Packed) -> None:
        """Keep at once; the caller writes no more into it."""
        self._forget(self._kept.pop(name, EMPTY))
        self._kept[name] = self._add(packed)

    def stage(self, name: str, packed: Packed) -> None:
        self._forget(self._staged.pop(name, EMPTY))
        self._staged[name] = self._add(packed, copied=True)

    def commit(self) -> None:
        for name, new in self._staged.items():
            self._forget(self._kept.pop(name, EMPTY))
            self._kept[name] = new
        self._staged.clear()

    def rollback(self) -> None:
        for new in self._staged.values():
            self._forget(new)
        self._staged.clear()

    def _add(self, packed: Packed, copied: bool = False) -> Packed | _Placed:
        if self.used + packed.num_bytes <= self._bound:
            self.used += packed.num_bytes
            return Packed(packed.header, packed.buffer.copy()) if copied else packed
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="fedmrg-")  # noqa: SIM115
        place = self._place(packed)
        _write(self._file.fileno(), packed.buffer, place.offset)
        return place

    def _place(self, packed: Packed) -> _Placed:
        """The first free place that is large enough, or a new one at the end."""
        for number, old in enumerate(self._free):
            if old.room >= packed.num_bytes:
                del self._free[number]
                return _Placed(packed.header, old.offset, packed.num_bytes, old.room)
        self.end += packed.num_bytes
        return _Placed(packed.header, self.end - packed.num_bytes, packed.num_bytes, packed.num_bytes)

    def _forget(self, kept: Packed | _Placed) -> None:
        if isinstance(kept, Packed):
            self.used -= kept.num_bytes
        else:
            self._free.append(kept)


class _Everything(Mapping[str, Tensor]):
    """Read client by client: quick for who goes through it in the order of its sorted names."""

    def __init__(self, store: ClientStore, prefix: str) -> None:
        self._store = store
        self._where = {
            f"{prefix}{client}/{group}/{name}": (client, group, name)
            for client in store.clients()
            for group, name, *_ in store.get(client).header
        }
        self._client = ""
        self._payload: Payload = {}

    def __getitem__(self, key: str) -> Tensor:
        client, group, name = self._where[key]
        if client != self._client:
            self._client, self._payload = client, unpack(self._store.get(client))
        return self._payload[group][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def _write(file: int, buffer: np.ndarray, offset: int) -> None:
    """All of it: one call writes 2 GB at most, and less where the disk is full, which the next call then says."""
    done = 0
    while done < len(buffer):
        done += os.pwrite(file, buffer[done:].data, offset + done)


def _read(file: int, size: int, offset: int) -> np.ndarray:
    buffer, done = np.empty(size, dtype=np.uint8), 0
    while done < size and (got := os.preadv(file, [buffer[done:].data], offset + done)):
        done += got
    return buffer
