"""What a pool runs, what may become of it, and the pool that runs it in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fedmrg_core.errors import FedMRGError, in_range


@dataclass(frozen=True)
class PoolConfig:
    """actors: worker processes; 0 = none, everything in this process. gpus_per_actor: share of a GPU each may use.
    object_store_mb: Ray's shared memory. wait_s: the longest wait for one reply before the pool gives up."""

    actors: int
    gpus_per_actor: float
    object_store_mb: int
    wait_s: float

    def __post_init__(self) -> None:
        in_range("engine.actors", self.actors, 0, 512)
        in_range("engine.gpus_per_actor", self.gpus_per_actor, 0, 1)
        in_range("engine.object_store_mb", self.object_store_mb, 80, unit="MB")
        in_range("engine.wait_s", self.wait_s, 0, above=True, unit="seconds")


@dataclass(frozen=True)
class Call:
    """One call of a worker's method. task: its argument, or a function that makes it when it is sent (so that what is
    large need not wait in memory). `who` names the client in an error; `shared` is a handle from `Pool.share`."""

    method: str
    task: Any
    shared: Any
    who: str

    def made(self, attempt: int = 1) -> Any:
        """The task itself; a later attempt is told to a task that has a field for it."""
        task = self.task() if callable(self.task) else self.task
        return replace(task, attempt=attempt) if attempt > 1 and hasattr(task, "attempt") else task


class ClientError(FedMRGError):
    """A client failed; the message names it. kind: as in a round's `failures`."""

    def __init__(self, message: str, kind: str = "client_error") -> None:
        super().__init__(message)
        self.kind = kind


def late(call: Call, deadline_s: float) -> ClientError:
    """What stands for a reply that did not come in time."""
    return ClientError(f"{call.who}: no reply by the deadline of {deadline_s:g} s", "deadline")


def as_client_error(error: Exception, who: str, where: str = "") -> FedMRGError:
    """Any exception of a client's code as a value that names the client; one for the user keeps its words."""
    if isinstance(error, FedMRGError):
        return ClientError(f"{who}: {error}", getattr(error, "kind", "client_error"))
    memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    kind = "out_of_memory" if memory else "client_error"
    return ClientError(f"{who}: {type(error).__name__}: {error}{where}", kind)


class Pool(Protocol):
    """Runs calls on workers. `events` collects what went wrong and was mended (actor deaths and restarts)."""

    events: list[dict[str, Any]]

    def share(self, packed: Any) -> Any:
        """Make a broadcast (`wire.Packed`) available to every worker once; returns the handle for `Call.shared`."""

    def map(self, calls: Sequence[Call], deadline_s: float = 0.0, keep_going: bool = False) -> Iterator[Any]:
        """Run the calls, started in their order; yield their replies in that same order.

        deadline_s: after so many seconds what has not replied has failed; 0 = no deadline. keep_going: a call that
        failed yields its FedMRGError in its place; otherwise it is raised.
        """

    def close(self) -> None:
        """Stop everything that this pool started."""


class SerialPool:
    """All in this process, one task after the other: for debugging, for CI, and as the reference for RayPool.

    A call cannot be cut off here: one that ends after the deadline is refused then, and those behind it do not start.
    """

    def __init__(self, worker: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._worker = worker

    def share(self, packed: Any) -> Any:
        return packed

    def map(self, calls: Sequence[Call], deadline_s: float = 0.0, keep_going: bool = False) -> Iterator[Any]:
        start = time.monotonic()
        for call in calls:
            reply = None if _over(start, deadline_s) else self._one(call, keep_going)
            if _over(start, deadline_s):
                reply = late(call, deadline_s)
            if isinstance(reply, FedMRGError) and not keep_going:
                raise reply
            yield reply

    def _one(self, call: Call, keep_going: bool) -> Any:
        try:
            return getattr(self._worker, call.method)(call.made(), call.shared)
        except Exception as error:
            if keep_going or isinstance(error, FedMRGError):
                return as_client_error(error, call.who)
            error.add_note(f"while running {call.who}")
            raise

    def close(self) -> None:
        pass


def _over(start: float, deadline_s: float) -> bool:
    return deadline_s > 0 and time.monotonic() - start > deadline_s
