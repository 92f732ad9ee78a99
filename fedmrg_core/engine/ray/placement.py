"""Ray itself: its instance or cluster, what its nodes have, and on which of them an actor goes. With pool.py the only
file that imports ray.

Ray's own strategies do not serve: actors that take no CPU are packed onto one node, and "SPREAD" counts anew on every
node that it asks. So each actor is told its node.
"""

from __future__ import annotations

import os
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

ANSWER_S = 3.0
"""Longest wait for a node to accept a connection. Ray itself takes some 15 s or more to call a node dead."""


@dataclass(frozen=True)
class Node:
    """A node that Ray says is alive. name: its host and address, for messages. address: where its raylet listens."""

    id: str
    name: str
    cpus: float
    gpus: float
    address: tuple[str, int]

    def answers(self) -> bool:
        """Whether its raylet still takes connections."""
        with suppress(OSError), socket.create_connection(self.address, timeout=ANSWER_S):
            return True
        return False


def start_ray(config: PoolConfig) -> Callable[[], None]:
    """Join the cluster at RAY_ADDRESS, or start a private, offline, quiet one; returns what ends it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # ray's 15 starves the actors wherever anything else runs
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # the actors of a private instance inherit it; a worker also sets torch's own
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    import ray

    address = os.environ.get("RAY_ADDRESS")
    if address:
        _join(address, options)
    else:
        memory = config.object_store_mb * 2**20
        ray.init(address="local", include_dashboard=False, object_store_memory=memory, **options)
    return lambda: ray.shutdown()


def _join(address: str, options: dict[str, Any]) -> None:
    import ray

    if "://" in address:
        raise FedMRGError(
            f"RAY_ADDRESS = {address}: run fedmrg on a node of the cluster and give HOST:PORT or auto; a remote client"
            " would carry every update twice"
        )
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FedMRGError(
            f"RAY_ADDRESS = {address}: cannot join ({why}): start a node of that cluster here with `ray start` from"
            " this environment (docs/scaling-out.md), or unset RAY_ADDRESS"
        ) from None


def nodes() -> list[Node]:
    """Every node that is alive, by id."""
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
    """The nodes that take actors: those with a GPU where actors use one, else those with CPUs (a node that was started
    with --num-cpus 0 wants none), else all."""
    there = nodes()
    if gpus_per_actor:
        return [node for node in there if node.gpus]
    return [node for node in there if node.cpus] or there


def actors_per_node(gpus: float, share: float) -> int:
    """How many actors with this share of a GPU a node's GPUs take: a share never lies on two of them.

    >>> actors_per_node(2, 0.5), actors_per_node(2, 0.6), actors_per_node(8, 4)
    (4, 2, 2)
    """
    return int(gpus) * floor(1 / share + 1e-9) if share <= 1 else int(gpus // share)


def check_resources(config: PoolConfig) -> None:
    """An actor that cannot be placed would wait for ever in silence: say so first."""
    share = config.gpus_per_actor
    found = [node.gpus for node in nodes()]
    if not share or sum(actors_per_node(gpus, share) for gpus in found) >= config.actors:
        return
    there, wanted = sum(found), config.actors * share
    if wanted <= there:
        wanted = ceil(config.actors / max(1, floor(1 / share)))
    fits = floor(10_000 / ceil(config.actors / there)) / 10_000 if there else 0
    raise FedMRGError(
        f"{config.actors} actors x {share:g} GPU need {wanted:g} GPUs, {there:g} are there:"
        f" set engine.gpus_per_actor to at most {fits:g}"
    )


class Placement:
    """Where actors go: over all nodes, by their CPUs or by their GPUs' shares, and away from where actors died."""

    def __init__(self, config: PoolConfig) -> None:
        """Raises FedMRGError where the actors asked for do not fit."""
        check_resources(config)
        self._share = config.gpus_per_actor
        self._held: Counter[str] = Counter()
        self._died: Counter[str] = Counter()
        self.many = len(nodes()) > 1

    def take(self) -> Node | None:
        """The node of the next actor; None where no node is left that has room for it.

        A node that Ray has not missed yet, but that answers no more, is passed over.
        """
        free = [node for node in actor_nodes(self._share) if self._has_room(node)]
        for node in sorted(free, key=self._load):
            if node.answers():
                self._held[node.id] += 1
                return node
        return None

    def _has_room(self, node: Node) -> bool:
        return not self._share or self._held[node.id] < actors_per_node(node.gpus, self._share)

    def _load(self, node: Node) -> tuple[float, str]:
        size = node.gpus if self._share else node.cpus
        return (self._held[node.id] + self._died[node.id] + 1) / max(size, 1.0), node.id

    def died(self, node: Node) -> None:
        """An actor there is no more."""
        self._held[node.id] -= 1
        self._died[node.id] += 1


def actor_class(config: PoolConfig) -> Any:
    """Actors take no CPU: their number is logical, and 4 of them run on 2 cores.

    An actor that takes nothing at all Ray has placed by any node, also one that is dead and not missed yet, which costs
    it a life; for a byte of memory it asks the driver's own node.
    """
    import ray

    options = {"num_cpus": 0, "memory": 1, "num_gpus": config.gpus_per_actor, "max_concurrency": 2}
    return ray.remote(**options, max_restarts=0, max_task_retries=0)(WorkerActor)


def on_node(node: Node) -> Any:
    """Ray's words for "on this node": elsewhere only if it dies first, or if others have taken its GPU."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.id, soft=True, _spill_on_unavailable=True)


def actor_lost_errors() -> tuple[type[Exception], ...]:
    """What Ray raises where an actor, its node or its reply is gone or out of reach. Not RayTaskError: our own bugs."""
    from ray import exceptions as e

    return (
        e.RayActorError, e.ActorUnschedulableError, e.NodeDiedError, e.ObjectLostError, e.WorkerCrashedError,
        e.OutOfMemoryError, e.RaySystemError, e.RpcError, e.GetTimeoutError,
    )  # fmt: skip


def ask_nodes(task: Callable[[], Any], config: PoolConfig, wait_s: float) -> list[tuple[Node, Any]]:
    """Run a function in a process of its own on every node that takes actors: what it returned there, or the exception.
    A node that has not answered after `wait_s` seconds counts as one that raised TimeoutError."""
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
