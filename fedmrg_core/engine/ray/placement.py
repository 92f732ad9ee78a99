"""On which node each actor runs.

Ray's own strategies do not work here: actors that reserve no CPU are packed onto one node, and "SPREAD" counts
separately on each node that schedules. So each actor is given its node.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.engine.ray.actor import WorkerActor
from fedmrg_core.errors import FedMRGError

CONNECT_S = 3.0
"""Longest wait for a node to accept a connection. Ray needs 15 s or more to report a node as dead."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """A node that Ray reports as alive. name: host and address, for messages. address: of its raylet."""

    id: str
    name: str
    cpus: float
    gpus: float
    address: tuple[str, int]

    def accepts_connections(self) -> bool:
        """Whether its raylet is reachable."""
        with suppress(OSError), socket.create_connection(self.address, timeout=CONNECT_S):
            return True
        return False


def nodes() -> list[Node]:
    """Every node that is alive, sorted by id."""
    import ray

    found = []
    for row in ray.nodes():
        if row["Alive"]:
            has, address = row["Resources"], row["NodeManagerAddress"]
            name = f"{row['NodeManagerHostname']} ({address})"
            address = (address, int(row["NodeManagerPort"]))
            found.append(Node(row["NodeID"], name, has.get("CPU", 0.0), has.get("GPU", 0.0), address))
    return sorted(found, key=lambda node: node.id)


def actor_nodes(gpus_per_actor: float) -> list[Node]:
    """The nodes that take actors: those with a GPU if actors use one, else those with CPUs (`ray start --num-cpus 0`
    keeps actors off a node), else all."""
    alive = nodes()
    if gpus_per_actor:
        return [node for node in alive if node.gpus]
    return [node for node in alive if node.cpus] or alive


def actors_per_node(gpus: float, share: float) -> int:
    """How many actors with this share of a GPU a node can run. A share is never split over two GPUs.

    >>> actors_per_node(2, 0.5), actors_per_node(2, 0.6)
    (4, 2)
    """
    return int(gpus) * floor(1 / share + 1e-9)


def check_resources(config: PoolConfig) -> None:
    """Raises FedMRGError if the actors do not fit the GPUs: Ray would wait silently and without end."""
    share = config.gpus_per_actor
    found = [node.gpus for node in nodes()]
    if not share or sum(actors_per_node(gpus, share) for gpus in found) >= config.actors:
        return
    available, needed = sum(found), config.actors * share
    if needed <= available:
        needed = ceil(config.actors / max(1, floor(1 / share)))
    if not available:
        raise FedMRGError(
            f"engine.gpus_per_actor = {share:g}, but Ray sees no GPU: set it to 0, or start Ray on a node with a GPU"
        )
    fits = floor(10_000 / ceil(config.actors / available)) / 10_000
    raise FedMRGError(
        f"{config.actors} actors x {share:g} GPU need {needed:g} GPUs, but {available:g} are available:"
        f" set engine.gpus_per_actor to at most {fits:g}"
    )


class Placement:
    """Chooses the node for each actor: evenly by CPUs or GPUs, and preferably not where actors died."""

    def __init__(self, config: PoolConfig) -> None:
        """Raises FedMRGError if the requested actors do not fit."""
        check_resources(config)
        self._share = config.gpus_per_actor
        self._actors: Counter[str] = Counter()
        self._died: Counter[str] = Counter()
        self.many = len(nodes()) > 1

    def take(self) -> Node | None:
        """The node for the next actor, or None if no node has room for it. Skips unreachable nodes that Ray still
        reports as alive."""
        free = [node for node in actor_nodes(self._share) if self._has_room(node)]
        for node in sorted(free, key=self._load):
            if node.accepts_connections():
                self._actors[node.id] += 1
                return node
            _log.info("node %s is not reachable: no actor is placed there", node.name)
        return None

    def _has_room(self, node: Node) -> bool:
        return not self._share or self._actors[node.id] < actors_per_node(node.gpus, self._share)

    def _load(self, node: Node) -> tuple[float, str]:
        size = node.gpus if self._share else node.cpus
        return (self._actors[node.id] + self._died[node.id] + 1) / max(size, 1.0), node.id

    def died(self, node: Node) -> None:
        """Count an actor of this node as gone."""
        self._actors[node.id] -= 1
        self._died[node.id] += 1


def actor_class(config: PoolConfig) -> Any:
    """Ray's class for `WorkerActor`. Actors reserve no CPU, so that 4 of them can run on 2 cores.

    They reserve one byte of memory: an actor without any resource may be scheduled by a dead node that Ray still
    reports as alive, and dies of it; one with a resource is scheduled by the driver's own node.
    """
    import ray

    options = {"num_cpus": 0, "memory": 1, "num_gpus": config.gpus_per_actor, "max_concurrency": 2}
    return ray.remote(**options, max_restarts=0, max_task_retries=0)(WorkerActor)


def on_node(node: Node) -> Any:
    """Ray's strategy "on this node"; on another one only if this dies first, or its GPU is taken."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.id, soft=True, _spill_on_unavailable=True)


def actor_lost_errors() -> tuple[type[Exception], ...]:
    """The errors that mean: the actor, its node or its reply is lost. Not RayTaskError, which is a bug of ours."""
    from ray import exceptions as e

    return (
        e.RayActorError, e.ActorUnschedulableError, e.NodeDiedError, e.ObjectLostError, e.WorkerCrashedError,
        e.OutOfMemoryError, e.RaySystemError, e.RpcError, e.GetTimeoutError,
    )  # fmt: skip


def ask_nodes(task: Callable[[], Any], config: PoolConfig, wait_s: float) -> list[tuple[Node, Any]]:
    """Run a function in a process of its own on every node that takes actors. Returns its result or exception for each
    node; TimeoutError for a node without an answer after `wait_s` seconds."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    def run() -> Any:
        return task()

    remote = ray.remote(num_cpus=0, max_retries=0, max_calls=1)(run)
    asked = {
        remote.options(scheduling_strategy=On(node.id, soft=False)).remote(): node
        for node in actor_nodes(config.gpus_per_actor)
    }
    ray.wait(list(asked), num_returns=len(asked), timeout=wait_s)
    answers: list[tuple[Node, Any]] = []
    for sent, node in asked.items():
        try:
            answers.append((node, ray.get(sent, timeout=0)))
        except ray.exceptions.GetTimeoutError:
            ray.cancel(sent, force=True)
            answers.append((node, TimeoutError(f"no answer within {wait_s:.0f} s")))
        except Exception as error:
            answers.append((node, error))
    return answers
