"""Pools run calls on workers: the protocol, how failures come back, and the pool without other processes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fedmrg_core.errors import FedMRGError, in_range


@dataclass(frozen=True)
class PoolConfig:
    """How many workers run, and where.

    actors: worker processes; 0 = no Ray, everything runs in this process. gpus_per_actor: share of a GPU for each
    actor; 0 = measured on cuda, none on the CPU. object_store_mb: Ray's shared memory, MB. wait_s: longest wait for one
    reply before the run stops, seconds.
    """

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
    """One call of a worker's method. task: its argument, or a function that makes it when the call is sent, so that a
    large task does not wait in memory. shared: a handle from `Pool.share`. who: names the client in errors."""

    method: str
    task: Any
    shared: Any
    who: str

    def made(self, attempt: int = 1) -> Any:
        """The task; a retry sets its field `attempt`, if it has one."""
        task = self.task() if callable(self.task) else self.task
        return replace(task, attempt=attempt) if attempt > 1 and hasattr(task, "attempt") else task


class ClientError(FedMRGError):
    """A client failed; the message names it. kind: as in a round's `failures`."""

    def __init__(self, message: str, kind: str = "client_error") -> None:
        super().__init__(message)
        self.kind = kind


def deadline_error(call: Call, deadline_s: float) -> ClientError:
    """Takes the place of a reply that missed the deadline."""
    return ClientError(f"{call.who}: no reply by the deadline of {deadline_s:g} s", "deadline")


def as_client_error(error: Exception, who: str, where: str = "") -> FedMRGError:
    """An exception of a client's code as a value that names the client; a FedMRGError keeps its message."""
    if isinstance(error, FedMRGError):
        return ClientError(f"{who}: {error}", getattr(error, "kind", "client_error"))
    memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    kind = "out_of_memory" if memory else "client_error"
    return ClientError(f"{who}: {type(error).__name__}: {error}{where}", kind)


class Pool(Protocol):
    """Runs calls on workers. events: what went wrong and was repaired (actors that died and were replaced).

    A worker's methods take (task, shared, alloc). alloc gives the memory for a reply's payload: with actors that is a
    slot which the driver reads, so that the payload needs no copy (`memory/shared_slots.py`). Its default allocates.
    """

    events: list[dict[str, Any]]

    def share(self, packed: Any) -> Any:
        """Make a broadcast (`wire.Packed`) available to every worker once; returns the handle for `Call.shared`."""

    def map(self, calls: Sequence[Call], deadline_s: float = 0.0, keep_going: bool = False) -> Iterator[Any]:
        """Start the calls in order; yield their replies in the same order.

        deadline_s: seconds after which calls without a reply have failed; 0 = no deadline. keep_going: yield the
        FedMRGError of a failed call in place of its reply; otherwise raise it.

        Memory: the buffers of a reply are reused once nothing refers to them. Code that handles replies one by one
        drops each (`del`) before it asks for the next; one that keeps them all pays only with fresh memory for each.
        """

    def close(self) -> None:
        """Stop everything that this pool started."""


class SerialPool:
    """Runs calls one after the other in this process: for debugging, for CI, and as the reference for RayPool.

    A call cannot be stopped here. One that ends after the deadline is refused, and later ones do not start.
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
                reply = deadline_error(call, deadline_s)
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
