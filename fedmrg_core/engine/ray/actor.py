"""The Ray actor: it holds one worker and runs the calls of one message after the other."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedmrg_core.engine.memory.process import reuse_freed_memory
from fedmrg_core.engine.memory.shared_slots import SlotClient, SlotHandle
from fedmrg_core.engine.pool import as_client_error
from fedmrg_core.tree import Allocator


class WorkerActor:
    """Ray actor with two threads. One lock serialises the work; copying replies into the slot happens outside it, so
    that the next message overlaps the copy. `_next` lets the waiting message start before the copy does, which would
    hold the interpreter."""

    def __init__(self, worker: type[Any], spec: Any) -> None:
        self._worker = worker(spec)
        reuse_freed_memory(32 * 2**20)  # more than `configure_process`: an actor allocates a buffer for every client
        self._working, self._next = threading.Lock(), threading.Lock()
        self._slots = SlotClient()

    def run(
        self, method: str, tasks: list[tuple[Any, str]], shared: Any, handle: SlotHandle | None
    ) -> tuple[list[Any], int, float]:
        """Run (task, client) pairs; returns their replies in order, payloads in the slot and errors as values; the
        bytes of all payloads; and the seconds of the work."""
        with self._turn():
            writer = self._slots.open(handle)
            start = time.perf_counter()
            replies = [self._one(method, task, client, shared, writer.alloc) for task, client in tasks]
            seconds = time.perf_counter() - start
        with self._next:  # released once a waiting message has started
            pass
        return *writer.put(replies), seconds

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The block runs alone. The next message to run holds `_next` while it waits."""
        with self._next:
            self._working.acquire()
        try:
            yield
        finally:
            self._working.release()

    def _one(self, method: str, task: Any, client: str, shared: Any, alloc: Allocator) -> Any:
        try:
            return getattr(self._worker, method)(task, shared, alloc)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
            return as_client_error(error, client, f"\n{where}")

    def pid(self) -> int:
        """This process's id, once no work runs here."""
        with self._turn():
            return os.getpid()
