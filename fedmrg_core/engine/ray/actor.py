"""What an actor is: a worker, and the loop over the calls of one message."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedmrg_core.engine.memory.process import keep_freed
from fedmrg_core.engine.memory.shared_slots import SlotClient, SlotHandle
from fedmrg_core.engine.pool import as_client_error
from fedmrg_core.tree import Allocator


class WorkerActor:
    """Its actor has two threads, of which one works at a time: while the replies of a message are stored, the next
    message is worked on. That one goes first, or it would wait until the storing lets go of the interpreter."""

    def __init__(self, worker: type[Any], spec: Any) -> None:
        self._worker = worker(spec)
        keep_freed(32 * 2**20)  # a worker makes a buffer a client, the driver a few a round
        self._works, self._next = threading.Lock(), threading.Lock()
        self._slots = SlotClient()

    def run(
        self, method: str, tasks: list[tuple[Any, str]], shared: Any, place: SlotHandle | None
    ) -> tuple[list[Any], int, float]:
        """Replies to (task, who) in their order, a client's error as a value in its place, their payloads stored; the
        bytes of these; seconds in all."""
        with self._turn():
            writer = self._slots.at(place)
            start = time.perf_counter()
            replies = [self._one(method, task, who, shared, writer.alloc) for task, who in tasks]
            took = time.perf_counter() - start
        with self._next:  # free again once whoever waits has begun
            pass
        return *writer.put(replies), took

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """To work: nobody else does meanwhile. `_next` is held while somebody waits for that."""
        with self._next:
            self._works.acquire()
        try:
            yield
        finally:
            self._works.release()

    def _one(self, method: str, task: Any, who: str, shared: Any, alloc: Allocator) -> Any:
        try:
            return getattr(self._worker, method)(task, shared, alloc)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip()
            return as_client_error(error, who, f"\n{where}")

    def pid(self) -> int:
        """This process's id, once no work is under way here: in a log, and for tests that end it."""
        with self._turn():
            return os.getpid()
