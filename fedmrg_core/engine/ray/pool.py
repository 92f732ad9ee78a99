"""Calls on long-lived Ray actors: which actors there are, and what replaces one that died.

Replies come in the order of the calls, whatever order they end in, so that a fold over them has the same bits.
`dispatch.py` decides which actor gets which call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from fedmrg_core.engine.memory.process import release_object_store_pages
from fedmrg_core.engine.memory.shared_slots import SlotPool
from fedmrg_core.engine.memory.wire import Packed
from fedmrg_core.engine.pool import Call, PoolConfig
from fedmrg_core.engine.ray.dispatch import Actor, Dispatch, Message, Pace
from fedmrg_core.engine.ray.instance import check_alive
from fedmrg_core.engine.ray.placement import Placement, actor_class, on_node
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import FedMRGError

ALIVE_S = 1.0
"""How often a wait checks that Ray itself is alive."""

_log = logging.getLogger(__name__)


class RayPool:
    """Long-lived actors. The driver owns retries: calls of a dead actor run again elsewhere, with the same seed."""

    def __init__(self, spec: Any, config: PoolConfig, worker: type[Any] = Worker) -> None:
        """Each actor holds `worker(spec)`: the model's Worker, or anything with the methods that calls name.

        Raises FedMRGError if the actors do not fit, or no node answers.
        """
        self.events: list[dict[str, Any]] = []
        self.actors: list[Actor] = []
        self.config = config
        self.pace = Pace()
        self.slots = SlotPool(config.actors)
        self.placement = Placement(config)
        self._spec, self._worker = spec, worker
        self._started = 0
        self._actor_class = actor_class(config)
        for _ in range(config.actors):
            self.actors += self._start_actor()
        if not self.actors:
            raise FedMRGError("no node of the cluster answers: run `ray status` there to see which are alive")

    def _start_actor(self) -> list[Actor]:
        """A new actor, or none if no node has room for it."""
        node = self.placement.take()
        if node is None:
            return []
        self._started += 1
        _log.debug("actor %d starts on %s", self._started, node.name)
        handle = self._actor_class.options(scheduling_strategy=on_node(node)).remote(self._worker, self._spec)
        return [Actor(handle, self._started, node)]

    def share(self, packed: Packed) -> Any:
        import ray

        check_alive()
        handle = ray.put(packed)
        self._release_pages()
        return handle

    def map(self, calls: Sequence[Call], deadline_s: float = 0.0, keep_going: bool = False) -> Iterator[Any]:
        if deadline_s:
            self._wait_for_actors()
        dispatch = Dispatch(self, calls, deadline_s)
        try:
            for index in range(len(calls)):
                reply = dispatch.reply(index)
                if isinstance(reply, FedMRGError) and not keep_going:
                    raise reply
                yield reply
                del reply  # its memory is reused for the next (see `Pool.map`)
                self._release_pages()
        finally:
            if any(actor.running for actor in self.actors):
                self.slots = self.slots.fresh()
            for actor in self.actors:
                actor.running.clear()
            dispatch.close()
            self._release_pages()

    def send(self, actor: Actor, first: Call, batch: list[int], tasks: list[tuple[Any, str]]) -> None:
        """Send one message: the tasks of calls that share `first`'s method and broadcast. batch: their indices."""
        slots, handle = self.slots, self.slots.acquire()
        reference = actor.handle.run.remote(first.method, tasks, first.shared, handle)
        actor.running[reference] = Message(batch, slots, handle)

    def wait(self, timeout_s: float) -> tuple[Actor, Any] | None:
        """An actor that has answered or died, and the reference to the reply; None if none has after `timeout_s`."""
        import ray

        owner = {reference: actor for actor in self.actors for reference in actor.running}
        ends = time.monotonic() + timeout_s
        while (left := ends - time.monotonic()) > 0:
            check_alive()
            ready, _ = ray.wait(list(owner), num_returns=1, timeout=min(left, ALIVE_S), fetch_local=False)
            check_alive()
            if ready:
                return owner[ready[0]], ready[0]
        return None

    def get(self, reference: Any, timeout_s: float) -> Any:
        """The reply to a message. Raises one of `actor_lost_errors` if its actor is lost."""
        import ray

        return ray.get(reference, timeout=timeout_s)

    def _release_pages(self) -> None:
        release_object_store_pages(other_shared=self.slots.num_bytes)

    def _wait_for_actors(self) -> None:
        """A deadline is for clients, so it starts after the actors have loaded the base. An actor that fails here fails
        again later."""
        import ray

        ray.wait([a.handle.pid.remote() for a in self.actors], num_returns=len(self.actors), timeout=self.config.wait_s)

    def replace(self, actor: Actor) -> None:
        """Start a new actor for a dead or late one, which may still run or be out of reach. If its GPU is gone, the
        pool gets smaller. Raises FedMRGError if no actor remains."""
        import ray

        ray.kill(actor.handle)
        self.slots = self.slots.fresh()  # the old actor may still write into these
        self.placement.died(actor.node)
        at = self.actors.index(actor)
        self.actors[at : at + 1] = self._start_actor()
        _log.info("actor %d on %s was replaced; %d actors", actor.number, actor.node.name, len(self.actors))
        if not self.actors:
            raise FedMRGError(f"the last actor died on {actor.node.name}, and no node has room for another")

    def close(self) -> None:
        import ray

        with suppress(FedMRGError):  # no raylet: Ray has no actors to end
            check_alive()
            for actor in self.actors:
                ray.kill(actor.handle)
        self.actors = []
