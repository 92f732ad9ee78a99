"""Calls on long-lived Ray actors.

Replies come in the order of the calls, whatever order they end in, so that a fold over them has the same bits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from fedmrg_core.engine.memory.process import unmap_read_pages
from fedmrg_core.engine.memory.shared_slots import SlotHandle, SlotPool
from fedmrg_core.engine.memory.wire import Packed
from fedmrg_core.engine.pool import Call, ClientError, late
from fedmrg_core.engine.pool import PoolConfig as PoolConfig
from fedmrg_core.engine.ray.placement import Node, Placement, actor_class, actor_lost_errors, on_node
from fedmrg_core.engine.ray.placement import start_ray as start_ray
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import FedMRGError

MAX_TRIES = 3
"""Starts of one task, the first included, before its actors' deaths count as the task's fault."""


@dataclass(frozen=True)
class _Sent:
    """A message under way: the indices of its calls, and where its reply may lie."""

    batch: list[int]
    slots: SlotPool
    place: SlotHandle | None


@dataclass
class _Actor:
    """handle: ray's. node: where it was put. running: the messages it holds, by ray's reference to the reply."""

    handle: Any
    number: int
    node: Node
    running: dict[Any, _Sent] = field(default_factory=dict)

    def calls(self) -> list[int]:
        """Indices of all calls that it holds, sorted."""
        return sorted(index for sent in self.running.values() for index in sent.batch)


class RayPool:
    """Long-lived actors; the driver owns retries: work of a dead actor is run again, elsewhere, with the same seed.

    Short calls travel several at a time, so that a message's price (a few ms) is shared. `seconds` and `bytes` are what
    the last message of a method took and brought per call: they decide how much is sent at once, never what comes back.
    """

    MESSAGE_S, BATCH_S, BATCH_BYTES = 0.003, 0.005, 2**23
    """Calls of one message together take about as long as a message costs at least; and at most so long, and bring at
    most so many bytes; or there is one."""
    SHORT_S, UNEVEN_S, LONG_S = 0.02, 0.1, 1.0
    """An actor holds two messages, so that it need not wait for the next; but of calls as long as the last figure only
    one, so that the next goes to whoever is free first. Once one took as long as the second, the longest counts and not
    the last. Shorter ones than the first are not worth fresh memory."""
    AHEAD = 8
    """Replies per actor that may wait for their turn: what is held at once does not grow with the number of calls."""

    def __init__(self, spec: Any, config: PoolConfig, worker: type[Any] = Worker) -> None:
        """`worker(spec)` is what each actor holds: the model's Worker, or anything with the methods that calls name."""
        self.events: list[dict[str, Any]] = []
        self.actors: list[_Actor] = []
        self.config = config
        self.seconds: dict[str, float] = {}
        self.longest: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self._spec, self._worker = spec, worker
        self._born = 0
        self.slots = SlotPool(config.actors)
        self.placement = Placement(config)
        self._actor_class = actor_class(config)
        for _ in range(config.actors):
            self.actors += self._spawn()
        if not self.actors:
            raise FedMRGError("no node of the cluster answers: `ray status` there says which are alive")

    def _spawn(self) -> list[_Actor]:
        """A new actor, or none where there is no room for one any more."""
        node = self.placement.take()
        if node is None:
            return []
        self._born += 1
        handle = self._actor_class.options(scheduling_strategy=on_node(node)).remote(self._worker, self._spec)
        return [_Actor(handle, self._born, node)]

    def share(self, packed: Packed) -> Any:
        import ray

        handle = ray.put(packed)
        self._let_go()
        return handle

    def map(self, calls: Sequence[Call], deadline_s: float = 0.0, keep_going: bool = False) -> Iterator[Any]:
        if deadline_s:
            self._wait_for_actors()
        flight = _Flight(self, calls, deadline_s)
        try:
            for index in range(len(calls)):
                reply = flight.reply(index)
                if isinstance(reply, FedMRGError) and not keep_going:
                    raise reply
                yield reply
                del reply
                self._let_go()
        finally:
            if any(actor.running for actor in self.actors):
                self.slots = self.slots.renewed()
            for actor in self.actors:
                actor.running.clear()
            self.longest.update(flight.longest)
            self._let_go()

    def _let_go(self) -> None:
        unmap_read_pages(spare=self.slots.num_bytes)

    def _wait_for_actors(self) -> None:
        """A deadline is for clients: loading the base does not count. An actor that fails here fails again later."""
        import ray

        ray.wait([a.handle.pid.remote() for a in self.actors], num_returns=len(self.actors), timeout=self.config.wait_s)

    def replace(self, actor: _Actor) -> None:
        """Put a new actor in the place of a dead or late one, which may be at work yet, or out of reach; the pool gets
        smaller where its GPU is gone."""
        import ray

        ray.kill(actor.handle)
        self.slots = self.slots.renewed()
        self.placement.died(actor.node)
        at = self.actors.index(actor)
        self.actors[at : at + 1] = self._spawn()
        if not self.actors:
            raise FedMRGError(f"the last actor died on {actor.node.name}, and no node has room for another")

    def close(self) -> None:
        import ray

        for actor in self.actors:
            ray.kill(actor.handle)
        self.actors = []


class _Flight:
    """One `RayPool.map` under way. waiting: indices of calls not yet sent; done: replies that wait for their turn;
    mending: events of dead actors, since when, and the calls that are still to be made good."""

    def __init__(self, pool: RayPool, calls: Sequence[Call], deadline_s: float) -> None:
        self.pool, self.calls, self.deadline_s = pool, calls, deadline_s
        self.ends = time.monotonic() + deadline_s if deadline_s else float("inf")
        self.mending: list[tuple[dict[str, Any], float, set[int]]] = []
        self.waiting: deque[int] = deque(range(len(calls)))
        self.tries = [0] * len(calls)
        self.done: dict[int, Any] = {}
        self.longest: dict[str, float] = {}

    def reply(self, wanted: int) -> Any:
        """The reply to a call, or its error as a value; more is sent out meanwhile."""
        self._dispatch(wanted)
        while wanted not in self.done:
            self._collect()
            self._dispatch(wanted)
        return self.done.pop(wanted)

    def _dispatch(self, wanted: int) -> None:
        """Hand the next calls to the actors that hold least."""
        pool = self.pool
        while self.waiting and self.waiting[0] < wanted + pool.AHEAD * len(pool.actors):
            first = self.calls[self.waiting[0]]
            pace = self._pace(first.method)
            most = 1 if pace >= pool.LONG_S or self.tries[self.waiting[0]] else 2
            takers = [actor for actor in pool.actors if self._takes(actor, most)]
            if not takers or self._waits_for_a_slot(pace):
                return
            actor = min(takers, key=lambda a: (len(a.running), a.number))
            batch = self._batch(first, pace)
            tasks = [(self.calls[index].made(self.tries[index]), self.calls[index].who) for index in batch]
            place = pool.slots.lease()
            sent = actor.handle.run.remote(first.method, tasks, first.shared, place)
            actor.running[sent] = _Sent(batch, pool.slots, place)

    def _takes(self, actor: _Actor, most: int) -> bool:
        """Work that an actor died of before is alone on the next one: should it kill again, no other call is lost."""
        return len(actor.running) < most and all(self.tries[index] < 2 for index in actor.calls())

    def _pace(self, method: str) -> float:
        """Seconds to expect of a call: the last one's; where some are long, the longest of this map and the last."""
        longest = max(self.pool.longest.get(method, 0.0), self.longest.get(method, 0.0)) or self.pool.LONG_S
        return longest if longest >= self.pool.UNEVEN_S else self.pool.seconds[method]

    def _waits_for_a_slot(self, pace: float) -> bool:
        """Short calls wait for one to be free, unless nothing is under way or the caller holds on to old replies."""
        sent = sum(len(actor.running) for actor in self.pool.actors)
        freed = sent > 0 and self.pool.slots.count <= sent + len(self.done) + 1
        return pace < self.pool.SHORT_S and self.pool.slots.full and freed

    def _batch(self, first: Call, pace: float) -> list[int]:
        """Take the next calls of one message: of one method and broadcast, and no more than an actor's fair share."""
        pool, weight = self.pool, self.pool.bytes.get(first.method, 0)
        most = min(int(pool.BATCH_S / pace), pool.BATCH_BYTES // max(weight, 1))
        share = len(self.waiting) // (2 * len(pool.actors))
        size = max(1, min(most, max(ceil(pool.MESSAGE_S / pace), share)))
        batch: list[int] = []
        while self.waiting and len(batch) < size:
            call = self.calls[self.waiting[0]]
            other = call.method != first.method or call.shared is not first.shared
            if batch and (other or self.tries[self.waiting[0]] or self.tries[batch[0]] > 1):
                break
            batch.append(self.waiting.popleft())
            self.tries[batch[-1]] += 1
        return batch

    def _collect(self) -> None:
        """Wait until at least one batch is done; replace an actor that died and put its work back in front."""
        import ray

        left = self.ends - time.monotonic()
        if left <= 0:
            return self._cut_off()

        owner = {ref: actor for actor in self.pool.actors for ref in actor.running}
        wait_s = self.pool.config.wait_s
        ready, _ = ray.wait(list(owner), num_returns=1, timeout=min(wait_s, left), fetch_local=False)
        if not ready and left < wait_s:
            return self._cut_off()
        if not ready:
            names = sorted({self.calls[index].who for actor in self.pool.actors for index in actor.calls()})
            raise FedMRGError(f"no reply within {wait_s:.0f} s from {', '.join(names)}: raise engine.wait_s")
        actor = owner[ready[0]]
        try:
            replies, num_bytes, seconds = ray.get(ready[0], timeout=min(wait_s, left))
        except actor_lost_errors() as error:
            self._run_again(actor, (str(error).strip().splitlines() or ["killed"])[-1].strip())
            return None
        sent = actor.running.pop(ready[0])
        self._arrived(dict(zip(sent.batch, sent.slots.load(sent.place, replies), strict=True)))
        self.pool.slots = self.pool.slots.fitting(num_bytes)
        method, count = self.calls[sent.batch[0]].method, len(sent.batch)
        took = max(seconds / count, 1e-6)
        self.longest[method] = max(took, self.longest.get(method, 0.0))
        self.pool.seconds[method], self.pool.bytes[method] = took, num_bytes // count
        return None

    def _arrived(self, replies: dict[int, Any]) -> None:
        """Keep replies for their turn; an event is mended when the last call it lost has replied."""
        self.done.update(replies)
        for event, since, missing in self.mending:
            missing.difference_update(replies)
            if not missing:
                event.setdefault("recovery_s", round(time.perf_counter() - since, 3))

    def _run_again(self, actor: _Actor, why: str) -> None:
        missing = actor.calls()
        names = [self.calls[index].who for index in missing]
        event: dict[str, Any] = {"kind": "actor_died", "actor": actor.number, "run_again": names}
        self.pool.events.append(event)
        self.mending.append((event, time.perf_counter(), set(missing)))
        hopeless = [index for index in missing if self.tries[index] >= MAX_TRIES]
        self.waiting = deque(sorted({*self.waiting, *missing} - {*hopeless}))
        actors = len(self.pool.actors)
        self.pool.replace(actor)
        if self.pool.placement.many:
            event["node"] = actor.node.name
        if len(self.pool.actors) < actors:
            event["actors_left"] = len(self.pool.actors)
        self._arrived({index: self._hopeless(index, why) for index in hopeless})

    def _hopeless(self, index: int, why: str) -> ClientError:
        advice = f"its worker died {MAX_TRIES} times (if memory ran out, use fewer actors)"
        return ClientError(f"{self.calls[index].who}: {advice}: {why}", "actor_died")

    def _cut_off(self) -> None:
        """The deadline has passed: who has not replied has failed; an actor that is still at work is replaced."""
        overdue = list(self.waiting)
        self.waiting.clear()
        for actor in list(self.pool.actors):
            if actor.running:
                overdue += actor.calls()
                self.pool.replace(actor)
        self._arrived({index: late(self.calls[index], self.deadline_s) for index in overdue})
