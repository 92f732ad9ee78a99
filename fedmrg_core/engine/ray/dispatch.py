"""One `RayPool.map`: which actor gets which call and how many at once, retries, deadlines."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol

from fedmrg_core.engine.memory.shared_slots import SlotHandle, SlotPool
from fedmrg_core.engine.pool import Call, ClientError, PoolConfig, deadline_error
from fedmrg_core.engine.ray.placement import Node, Placement, actor_lost_errors
from fedmrg_core.errors import FedMRGError, first_line

MAX_TRIES = 3
"""A call is started at most so often; after that, the deaths of its actors count as its own failure."""
MESSAGE_S = 0.003
"""Cost of one message: short calls are batched until their work is worth that."""
BATCH_S, BATCH_BYTES = 0.005, 2**23
"""Upper bounds on a batch's work and payload; a batch has at least one call."""
SHORT_S = 0.02
"""Calls shorter than this wait for a free slot: fresh memory would cost more than the wait."""
UNEVEN_S = 0.1
"""Once a call took this long, calls count as uneven: the longest one, not the last, is the estimate for the next."""
LONG_S = 1.0
"""An actor is sent two messages at a time, so that it need not wait for the next; of calls this long only one, so that
the next goes to the actor that is free first."""
LOOKAHEAD = 8
"""Replies per actor that may wait for their turn: the memory they take does not grow with the number of calls."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """A message that an actor has not answered yet. batch: indices of its calls. handle: its slot among `slots`."""

    batch: list[int]
    slots: SlotPool
    handle: SlotHandle | None


@dataclass
class Actor:
    """handle: Ray's. node: where it was placed. running: its messages, by Ray's reference to the reply."""

    handle: Any
    number: int
    node: Node
    running: dict[Any, Message] = field(default_factory=dict)

    def calls(self) -> list[int]:
        """Indices of all calls of its messages, sorted."""
        return sorted(index for message in self.running.values() for index in message.batch)


@dataclass
class Pace:
    """Measured by method: seconds and payload bytes per call in the last message, and the seconds of the longest call.

    They decide how many calls are sent at once, and never what comes back.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)
    num_bytes: dict[str, int] = field(default_factory=dict)


class ActorPool(Protocol):
    """What a dispatch needs of its pool (`RayPool`)."""

    events: list[dict[str, Any]]
    actors: list[Actor]
    config: PoolConfig
    pace: Pace
    slots: SlotPool
    placement: Placement

    def send(self, actor: Actor, first: Call, batch: list[int], tasks: list[tuple[Any, str]]) -> None: ...
    def wait(self, timeout_s: float) -> tuple[Actor, Any] | None: ...
    def get(self, reference: Any, timeout_s: float) -> Any: ...
    def replace(self, actor: Actor) -> None: ...


@dataclass
class _Recovery:
    """A dead actor's calls until the last has a reply. since: when it died. missing: calls without a reply."""

    event: dict[str, Any]
    missing: set[int]
    since: float = field(default_factory=time.perf_counter)


class Dispatch:
    """Sends calls out and collects their replies. queue: indices of calls that are not sent. replies: those that came
    before their turn."""

    def __init__(self, pool: ActorPool, calls: Sequence[Call], deadline_s: float) -> None:
        self.pool, self.calls, self.deadline_s = pool, calls, deadline_s
        self.ends = time.monotonic() + deadline_s if deadline_s else float("inf")
        self.queue: deque[int] = deque(range(len(calls)))
        self.tries = [0] * len(calls)
        self.replies: dict[int, Any] = {}
        self.recoveries: list[_Recovery] = []
        self.longest: dict[str, float] = {}

    def reply(self, index: int) -> Any:
        """The reply to a call, or its error as a value. Sends more calls out meanwhile."""
        self._send(index)
        while index not in self.replies:
            self._collect()
            self._send(index)
        return self.replies.pop(index)

    def close(self) -> None:
        """The longest calls of this map are the estimate for the next."""
        self.pool.pace.longest.update(self.longest)

    def _send(self, index: int) -> None:
        """Send the next calls to the actors that have the fewest, while call `index` is awaited."""
        pool = self.pool
        while self.queue and self.queue[0] < index + LOOKAHEAD * len(pool.actors):
            first = self.calls[self.queue[0]]
            seconds = self._estimate(first.method)
            limit = 1 if seconds >= LONG_S or self.tries[self.queue[0]] else 2
            free = [actor for actor in pool.actors if self._accepts(actor, limit)]
            if not free or self._waits_for_slot(seconds):
                return
            actor = min(free, key=lambda a: (len(a.running), a.number))
            batch = self._batch(first, seconds)
            tasks = [(self.calls[each].made(self.tries[each]), self.calls[each].who) for each in batch]
            pool.send(actor, first, batch, tasks)

    def _accepts(self, actor: Actor, limit: int) -> bool:
        """A call that was lost once is alone on its actor: if it kills this one too, no other call is lost."""
        return len(actor.running) < limit and all(self.tries[index] < 2 for index in actor.calls())

    def _estimate(self, method: str) -> float:
        """Seconds that the next call may take: as the last one, or as the longest of this map and the last if calls are
        uneven. LONG_S before the first reply."""
        pace = self.pool.pace
        longest = max(pace.longest.get(method, 0.0), self.longest.get(method, 0.0)) or LONG_S
        return longest if longest >= UNEVEN_S else pace.seconds[method]

    def _waits_for_slot(self, seconds: float) -> bool:
        """Whether a short call should wait. Not if nothing is running, or the caller keeps old replies: then no slot
        becomes free."""
        sent = sum(len(actor.running) for actor in self.pool.actors)
        becomes_free = sent > 0 and self.pool.slots.count <= sent + len(self.replies) + 1
        return seconds < SHORT_S and self.pool.slots.full and becomes_free

    def _batch(self, first: Call, seconds: float) -> list[int]:
        """Take the calls of the next message: of one method and broadcast, at most half of an actor's fair share."""
        pool, num_bytes = self.pool, self.pool.pace.num_bytes.get(first.method, 0)
        bound = min(int(BATCH_S / seconds), BATCH_BYTES // max(num_bytes, 1))
        share = len(self.queue) // (2 * len(pool.actors))
        size = max(1, min(bound, max(ceil(MESSAGE_S / seconds), share)))
        batch: list[int] = []
        while self.queue and len(batch) < size:
            call = self.calls[self.queue[0]]
            other = call.method != first.method or call.shared is not first.shared
            if batch and (other or self.tries[self.queue[0]] or self.tries[batch[0]] > 1):
                break
            batch.append(self.queue.popleft())
            self.tries[batch[-1]] += 1
        return batch

    def _collect(self) -> None:
        """Wait for the reply to one message. If its actor died, replace the actor and queue its calls again."""
        left = self.ends - time.monotonic()
        if left <= 0:
            return self._stop_overdue()
        wait_s = self.pool.config.wait_s
        found = self.pool.wait(min(wait_s, left))
        if found is None and left < wait_s:
            return self._stop_overdue()
        if found is None:
            names = sorted({self.calls[index].who for actor in self.pool.actors for index in actor.calls()})
            raise FedMRGError(f"no reply within {wait_s:.0f} s from {', '.join(names)}: raise engine.wait_s")
        actor, reference = found
        try:
            replies, num_bytes, seconds = self.pool.get(reference, min(wait_s, left))
        except actor_lost_errors() as error:
            return self._retry(actor, first_line(error, last=True))
        message = actor.running.pop(reference)
        self._accept(dict(zip(message.batch, message.slots.read(message.handle, replies), strict=True)))
        self.pool.slots = self.pool.slots.resized_for(num_bytes)
        self._measure(self.calls[message.batch[0]].method, len(message.batch), seconds, num_bytes)
        return None

    def _measure(self, method: str, count: int, seconds: float, num_bytes: int) -> None:
        each = max(seconds / count, 1e-6)
        self.longest[method] = max(each, self.longest.get(method, 0.0))
        self.pool.pace.seconds[method], self.pool.pace.num_bytes[method] = each, num_bytes // count

    def _accept(self, replies: dict[int, Any]) -> None:
        """Keep replies until their turn; a recovery ends with the last call that the actor's death lost."""
        self.replies.update(replies)
        for recovery in self.recoveries:
            recovery.missing.difference_update(replies)
            if not recovery.missing:
                recovery.event.setdefault("recovery_s", round(time.perf_counter() - recovery.since, 3))

    def _retry(self, actor: Actor, why: str) -> None:
        """Queue the calls of a dead actor again, in order; those without a try left fail."""
        missing = actor.calls()
        names = [self.calls[index].who for index in missing]
        _log.info("actor %d on %s died (%s); runs again: %s", actor.number, actor.node.name, why, ", ".join(names))
        event: dict[str, Any] = {"kind": "actor_died", "actor": actor.number, "run_again": names}
        self.pool.events.append(event)
        self.recoveries.append(_Recovery(event, set(missing)))
        failed = [index for index in missing if self.tries[index] >= MAX_TRIES]
        self.queue = deque(sorted({*self.queue, *missing} - {*failed}))
        actors = len(self.pool.actors)
        self.pool.replace(actor)
        if self.pool.placement.many:
            event["node"] = actor.node.name
        if len(self.pool.actors) < actors:
            event["actors_left"] = len(self.pool.actors)
        self._accept({index: self._exhausted(index, why) for index in failed})

    def _exhausted(self, index: int, why: str) -> ClientError:
        advice = f"its worker died {MAX_TRIES} times (if memory ran out, use fewer actors)"
        return ClientError(f"{self.calls[index].who}: {advice}: {why}", "actor_died")

    def _stop_overdue(self) -> None:
        """After the deadline: calls without a reply have failed, and actors that still run them are replaced."""
        overdue = list(self.queue)
        self.queue.clear()
        for actor in list(self.pool.actors):
            if actor.running:
                overdue += actor.calls()
                self.pool.replace(actor)
        self._accept({index: deadline_error(self.calls[index], self.deadline_s) for index in overdue})
