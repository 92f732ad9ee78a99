"""The clients' private states, kept by the driver: what a client will find again in its next round."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from fedmrg_core.engine.wire import EMPTY, Packed, unpack
from fedmrg_core.types import State

BOUND = 2**30
"""Bytes of private states that stay in memory; further clients' lie in an unnamed temporary file."""


class ClientStore:
    """Private states by client. A round's new states are staged and commit together, once its updates are accepted.

    `last`: the accepted updates that the policy reuse_last may need, kept in the same way.
    """

    def __init__(self, bound: int = BOUND) -> None:
        self._states = _Shelf(bound)
        self._last = _Shelf(bound)
        self._staged: dict[str, Packed] = {}
        self._staged_last: dict[str, Packed] = {}

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
        self._staged[client_id] = Packed(private.header, private.buffer.copy())
        if update is not None:
            self._staged_last[client_id] = Packed(update.header, update.buffer.copy())

    def commit(self) -> None:
        """Accept all staged states."""
        for client, packed in self._staged.items():
            if packed.header:
                self._states.put(client, packed)
        for client, packed in self._staged_last.items():
            self._last.put(client, packed)
        self.rollback()

    def rollback(self) -> None:
        """Forget all staged states."""
        self._staged.clear()
        self._staged_last.clear()

    def state_for_hash(self) -> State:
        """Every private tensor under `client/group/name`."""
        return {
            f"{client}/{group}/{name}": tensor
            for client in self.clients()
            for group, state in unpack(self.get(client)).items()
            for name, tensor in state.items()
        }


class _Shelf:
    """Packed payloads by name: in memory up to `bound` bytes, beyond it in a file that vanishes with the process."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._held: dict[str, Packed] = {}
        self._used = 0
        self._placed: dict[str, tuple[Any, int, int, int]] = {}  # header, offset, bytes, room
        self._file: Any = None
        self._end = 0

    def names(self) -> list[str]:
        return sorted({*self._held, *self._placed})

    def get(self, name: str) -> Packed:
        if name in self._held or name not in self._placed:
            return self._held.get(name, EMPTY)
        header, offset, size, _ = self._placed[name]
        return Packed(header, np.frombuffer(os.pread(self._file.fileno(), size, offset), dtype=np.uint8))

    def put(self, name: str, packed: Packed) -> None:
        old = self._held.pop(name, EMPTY)
        self._used -= old.num_bytes
        if name not in self._placed and self._used + packed.num_bytes <= self._bound:
            self._held[name] = packed
            self._used += packed.num_bytes
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="fedmrg-")  # noqa: SIM115
        _, offset, _, room = self._placed.get(name, (None, 0, 0, -1))
        if packed.num_bytes > room:
            offset, room = self._end, packed.num_bytes
            self._end += room
        os.pwrite(self._file.fileno(), packed.buffer.tobytes(), offset)
        self._placed[name] = (packed.header, offset, packed.num_bytes, room)
