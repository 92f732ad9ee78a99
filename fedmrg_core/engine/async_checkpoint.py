"""Checkpoints written beside the next round, by a thread of their own: a round waits for no disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.errors import FedMRGError


class AsyncCheckpointer:
    """At most one checkpoint is under way: the next waits for it. What a write raises, the next `save` or `finish`
    raises in its place.

    What is written is references, not copies: a server's tensors and a store's packed states are replaced by later
    rounds, never written into (an algorithm keeps to that; a test over all of them holds it). Private states that lie
    on disk are written before `save` returns, since those are overwritten in place.
    """

    def __init__(self, folder: Path, keep: int, wait_s: float, write: Callable[..., Any] = checkpoint.save) -> None:
        """keep: the newest that stay. wait_s: the longest wait for a write before the run gives up."""
        self._folder, self._keep, self._wait_s, self._write = folder, keep, wait_s, write
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._round = 0

    def save(self, server: ServerState, store: ClientStore) -> None:
        """Have the state of a finished round written."""
        self.finish()
        self._round = server.round
        still = checkpoint.snapshot(store)
        if still is None:
            self._write(self._folder, server, store, self._keep)
            return
        self._thread = threading.Thread(target=self._work, args=(server, still), name="checkpoint", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait for the write that is under way; raises what it raised."""
        self.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait for the write that is under way; an error keeps until `finish`."""
        if self._thread is None:
            return
        self._thread.join(self._wait_s)
        if self._thread.is_alive():
            raise FedMRGError(
                f"the checkpoint of round {self._round} was not written within {self._wait_s:.0f} s: is the disk of"
                f" {self._folder} there? engine.wait_s is the limit"
            )
        self._thread = None

    def __enter__(self) -> AsyncCheckpointer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """The last write ends, whatever else went wrong; its error is raised where it is the only one."""
        if kind is None:
            self.finish()
        with suppress(FedMRGError):
            self.wait()

    def _work(self, server: ServerState, still: checkpoint.Snapshot) -> None:
        try:
            self._write(self._folder, server, still, self._keep)
        except BaseException as error:
            self._error = error
