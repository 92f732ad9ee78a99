"""The clients' private states between rounds, held by the driver: it does not matter which actor runs a client."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fedmrg_core.engine.memory.wire import EMPTY, Header, Packed, unpack
from fedmrg_core.errors import FedMRGError
from fedmrg_core.types import Payload

MEMORY_LIMIT = 2**30
"""Bytes of private states, staged ones included, that stay in memory; further ones spill to a temporary file."""


class ClientStore:
    """Private states by client. A round's new states are staged, and committed together once the round is accepted.

    It also stores each client's last accepted update, if the policy reuse_last may need it.
    """

    def __init__(self, memory_limit: int = MEMORY_LIMIT) -> None:
        """memory_limit: bytes in memory, for the states and for the last updates each."""
        self._states = _SpillingTable(memory_limit)
        self._updates = _SpillingTable(memory_limit)

    def clients(self) -> list[str]:
        """Clients that have a private state, sorted."""
        return self._states.names()

    def get(self, client_id: str) -> Packed:
        """A client's private state; empty before its first round."""
        return self._states.get(client_id)

    def header(self, client_id: str) -> Header:
        """The header of a client's private state, which is in memory even if the state has spilled."""
        return self._states.header(client_id)

    def put(self, client_id: str, private: Packed) -> None:
        """Set a state without staging (loading a checkpoint)."""
        self._states.put(client_id, private)

    def clients_with_update(self) -> list[str]:
        """Clients whose last accepted update is stored, sorted."""
        return self._updates.names()

    def last_update(self, client_id: str) -> Packed:
        """A client's last accepted update, decoded; empty if none is stored."""
        return self._updates.get(client_id)

    def put_last_update(self, client_id: str, update: Packed) -> None:
        """Set a last update without staging (loading a checkpoint)."""
        self._updates.put(client_id, update)

    def stage(self, client_id: str, private: Packed, update: Packed | None = None) -> None:
        """Store a new state until `commit`. It is copied, because a view would keep the whole reply in memory."""
        if private.header:
            self._states.stage(client_id, private)
        if update is not None:
            self._updates.stage(client_id, update)

    def commit(self) -> None:
        """Accept all staged states."""
        self._states.commit()
        self._updates.commit()

    def rollback(self) -> None:
        """Discard all staged states."""
        self._states.rollback()
        self._updates.rollback()

    def snapshot(self) -> Snapshot | None:
        """The states as they are now, for a background write; no copies, since later rounds replace states and do not
        write into them. None if any state has spilled to disk: spilled states are overwritten in place, and loading
        them would defeat the spill."""
        states, updates = self._states.in_memory(), self._updates.in_memory()
        return None if states is None or updates is None else Snapshot(states, updates)

    def state_for_hash(self, prefix: str = "") -> Mapping[str, Tensor]:
        """Every private tensor under `prefix` + `client/group/name`; one client's tensors are in memory at a time."""
        return _TensorView(self, prefix)

    @property
    def num_bytes(self) -> tuple[int, int]:
        """Bytes in memory, and bytes of the temporary files."""
        tables = (self._states, self._updates)
        return sum(table.used for table in tables), sum(table.file_bytes for table in tables)


class Snapshot:
    """A read-only view of a store, as it was when `ClientStore.snapshot` was called."""

    def __init__(self, states: Mapping[str, Packed], updates: Mapping[str, Packed]) -> None:
        self._states, self._updates = states, updates

    def clients(self) -> list[str]:
        return sorted(self._states)

    def get(self, client_id: str) -> Packed:
        return self._states[client_id]

    def clients_with_update(self) -> list[str]:
        return sorted(self._updates)

    def last_update(self, client_id: str) -> Packed:
        return self._updates[client_id]


@dataclass(frozen=True)
class _Spilled:
    """A payload in the temporary file: `size` bytes from `offset` on, in a space of `capacity` bytes."""

    header: Any
    offset: int
    size: int
    capacity: int


class _SpillingTable:
    """Packed payloads by name: up to `limit` bytes in memory, the rest in a temporary file that ends with the process.

    Staged entries do not overwrite committed ones; the old entry's space is reclaimed at commit.
    """

    def __init__(self, limit: int) -> None:
        self.used, self.file_bytes = 0, 0
        self._limit = limit
        self._committed: dict[str, Packed | _Spilled] = {}
        self._staged: dict[str, Packed | _Spilled] = {}
        self._free: list[_Spilled] = []
        self._file: Any = None

    def names(self) -> list[str]:
        return sorted(self._committed)

    def get(self, name: str) -> Packed:
        entry = self._committed.get(name, EMPTY)
        if isinstance(entry, Packed):
            return entry
        return Packed(entry.header, _read(self._file.fileno(), entry.size, entry.offset))

    def header(self, name: str) -> Header:
        header: Header = self._committed.get(name, EMPTY).header
        return header

    def in_memory(self) -> dict[str, Packed] | None:
        """All committed entries, or None if one of them has spilled."""
        found = {name: entry for name, entry in self._committed.items() if isinstance(entry, Packed)}
        return found if len(found) == len(self._committed) else None

    def put(self, name: str, packed: Packed) -> None:
        """Commit at once, without a copy."""
        self._reclaim(self._committed.pop(name, EMPTY))
        self._committed[name] = self._add(packed)

    def stage(self, name: str, packed: Packed) -> None:
        self._reclaim(self._staged.pop(name, EMPTY))
        self._staged[name] = self._add(packed, copy=True)

    def commit(self) -> None:
        for name, entry in self._staged.items():
            self._reclaim(self._committed.pop(name, EMPTY))
            self._committed[name] = entry
        self._staged.clear()

    def rollback(self) -> None:
        for entry in self._staged.values():
            self._reclaim(entry)
        self._staged.clear()

    def _add(self, packed: Packed, copy: bool = False) -> Packed | _Spilled:
        if self.used + packed.num_bytes <= self._limit:
            self.used += packed.num_bytes
            return Packed(packed.header, packed.buffer.copy()) if copy else packed
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="fedmrg-")  # noqa: SIM115
            spilled = self._reserve(packed)
            _write(self._file.fileno(), packed.buffer, spilled.offset)
        except OSError as error:
            raise FedMRGError(
                f"private client states beyond {self._limit} bytes cannot be written to the temporary folder"
                f" ({error.strerror}): free space there, or set TMPDIR to another folder"
            ) from error
        return spilled

    def _reserve(self, packed: Packed) -> _Spilled:
        """The first free space that is large enough, or new space at the end of the file."""
        for index, old in enumerate(self._free):
            if old.capacity >= packed.num_bytes:
                del self._free[index]
                return _Spilled(packed.header, old.offset, packed.num_bytes, old.capacity)
        self.file_bytes += packed.num_bytes
        return _Spilled(packed.header, self.file_bytes - packed.num_bytes, packed.num_bytes, packed.num_bytes)

    def _reclaim(self, entry: Packed | _Spilled) -> None:
        if isinstance(entry, Packed):
            self.used -= entry.num_bytes
        else:
            self._free.append(entry)


class _TensorView(Mapping[str, Tensor]):
    """All private tensors by name. Read in sorted order, each client's state is loaded once."""

    def __init__(self, store: ClientStore, prefix: str) -> None:
        self._store = store
        self._keys = {
            f"{prefix}{client}/{group}/{name}": (client, group, name)
            for client in store.clients()
            for group, name, *_ in store.get(client).header
        }
        self._client = ""
        self._payload: Payload = {}

    def __getitem__(self, key: str) -> Tensor:
        client, group, name = self._keys[key]
        if client != self._client:
            self._client, self._payload = client, unpack(self._store.get(client))
        return self._payload[group][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _write(file: int, buffer: np.ndarray, offset: int) -> None:
    """Write the whole buffer. One call writes at most 2 GB, and less if the disk fills up; then the next raises."""
    done = 0
    while done < len(buffer):
        done += os.pwrite(file, buffer[done:].data, offset + done)


def _read(file: int, size: int, offset: int) -> np.ndarray:
    buffer, done = np.empty(size, dtype=np.uint8), 0
    while done < size and (got := os.preadv(file, [buffer[done:].data], offset + done)):
        done += got
    return buffer
