"""Checkpoints written by a thread of their own, beside the next round: a round does not wait for the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore, Snapshot
from fedmrg_core.errors import FedMRGError


class AsyncCheckpointer:
    """Writes one checkpoint at a time; the next waits for it. The next `save` or `finish` raises a write's error.

    It writes references, not copies: later rounds replace the server's tensors and the store's states, and never write
    into them. Algorithms must keep to that; a test over all of them checks it. If private states have spilled to disk,
    the write ends before `save` returns, because those are overwritten in place.
    """

    def __init__(self, folder: Path, keep: int, wait_s: float, write: Callable[..., Any] = checkpoint.save) -> None:
        """keep: how many of the newest checkpoints remain. wait_s: longest wait for a write before the run stops."""
        self._folder, self._keep, self._wait_s, self._write = folder, keep, wait_s, write
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._round = 0

    def save(self, server: ServerState, store: ClientStore) -> None:
        """Start writing the state after a finished round."""
        self.finish()
        self._round = server.round
        snapshot = store.snapshot()
        if snapshot is None:
            self._write(self._folder, server, store, self._keep)
            return
        self._thread = threading.Thread(target=self._work, args=(server, snapshot), name="checkpoint", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait for the current write; raises its error."""
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait for the current write; `finish` raises its error."""
        if self._thread is None:
            return
        self._thread.join(self._wait_s)
        if self._thread.is_alive():
            raise FedMRGError(
                f"the checkpoint of round {self._round} was not written to {self._folder} within {self._wait_s:.0f} s:"
                " check that disk, or raise engine.wait_s"
            )
        self._thread = None

    def __enter__(self) -> AsyncCheckpointer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Wait for the last write. Its error is raised, unless the block raised one itself."""
        if kind is None:
            self.finish()
        with suppress(FedMRGError):
            self.wait()

    def _work(self, server: ServerState, snapshot: Snapshot) -> None:
        try:
            self._write(self._folder, server, snapshot, self._keep)
        except BaseException as error:
            self._error = error
