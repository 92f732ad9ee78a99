"""RAY_ADDRESS: two nodes (raylets) on one machine, one of which is killed; GPUs that are only logical."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from benchmark.run import workers as workers_module
from fedmrg_core.engine.failures import Fault
from fedmrg_core.engine.fault_injection import FaultyWorker
from fedmrg_core.engine.memory.shared_slots import SlotHandle, SlotPool
from fedmrg_core.engine.memory.wire import EMPTY, Packed
from fedmrg_core.engine.messages import TrainReply
from fedmrg_core.engine.pool import Call, PoolConfig
from fedmrg_core.engine.ray.instance import start_ray
from fedmrg_core.engine.ray.placement import actors_per_node, nodes
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.ray.preflight import NodeReport, check_nodes
from fedmrg_core.engine.ray.preflight import inspect_node as inspect_here
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import FedMRGError
from tests.conftest import RayInstance
from tests.toy import TWO_ACTORS, Run, toy_spec

HAS = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 100 * 2**20}
SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 6}
"""So that the cluster knows in three seconds, not in fifteen, that a node is dead."""


@pytest.fixture(scope="module", name="cluster")
def _cluster(ray_instance: RayInstance) -> Iterator[Cluster]:
    ray_instance.stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(
            initialize_head=True, head_node_args={**HAS, "include_dashboard": False, "_system_config": SOON}
        )
        patch.setenv("RAY_ADDRESS", cluster.address)
        try:
            stop = start_ray(TWO_ACTORS)
            yield cluster
            stop()
        finally:
            cluster.shutdown()


@pytest.fixture(name="second")
def _second(cluster: Cluster) -> Iterator[Any]:
    """A second node, which a test may kill."""
    node = cluster.add_node(**HAS)
    until(lambda: len(nodes()) == 2)
    yield node
    cluster.remove_node(node, allow_graceful=False)
    until(lambda: len(nodes()) == 1)


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.1)


def kill(node: Any) -> None:
    """As when a machine dies: its actors and its raylet are gone at once, and the cluster has yet to miss them."""
    (raylet,) = node.all_processes["raylet"]
    for pid in [*(a["Pid"] for a in actors() if a["Address"]["NodeID"] == node.node_id), raylet.process.pid]:
        os.kill(pid, signal.SIGKILL)


def head() -> str:
    """The id of the driver's own node."""
    return str(ray.get_runtime_context().get_node_id())


def living() -> dict[str, int]:
    """Node id -> actors that Ray says are alive there."""
    alive = [actor["Address"]["NodeID"] for actor in actors()]
    return {node: alive.count(node) for node in alive}


def actors() -> list[dict[str, Any]]:
    """What Ray knows of the actors that it says are alive."""
    return [actor for actor in ray._private.state.actors().values() if actor["State"] == "ALIVE"]


def large_replies(seconds: float, config: PoolConfig) -> RayPool:
    """Actors with replies of 256 KB, which do not fit a message. Their class is made here so that it travels whole."""

    class Large:
        def __init__(self, spec: float) -> None:
            self.seconds = spec

        def say(self, task: int, shared: Any, alloc: Any = None) -> TrainReply:
            time.sleep(self.seconds)
            return TrainReply(str(task), Packed((), np.full(2**18, task, dtype=np.uint8)), EMPTY, 1.0, {}, 1, 0.0)

        def gpu(self, task: int, shared: Any, alloc: Any = None) -> tuple[str, bool]:
            return os.environ["CUDA_VISIBLE_DEVICES"], torch.zeros(1).is_cpu

    return RayPool(seconds, config, Large)


def asked(count: int, method: str = "say") -> list[Call]:
    return [Call(method, number, None, f"client {number}") for number in range(count)]


class Struck(RayPool):
    """Soon after its second round has begun, when both actors are at work, `strike` is called."""

    rounds = 0
    strike: Callable[[], None]

    def map(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.rounds += 1
        if self.rounds == 2:
            threading.Timer(0.7, self.strike).start()
        return super().map(*args, **kwargs)


@pytest.mark.slow  # alone it passes; after other tests with Ray its second node got no actor
def test_a_node_killed_in_mid_run_costs_time_and_no_bit(cluster: Cluster, second: Any, toy_cache: Path) -> None:
    spec = toy_spec(toy_cache, "fedmrg")
    clients = (serial := Run(spec)).logs[0].row["clients"]
    slow = replace(spec, faults=tuple(Fault("slow_client", (1,), client, seconds=2.0) for client in clients))
    pool = Struck(slow, TWO_ACTORS, FaultyWorker)
    pool.strike = lambda: kill(second)
    try:
        until(lambda: sorted(living().values()) == [1, 1])
        run = Run(slow, pool)
        assert params_sha256(run.server, run.store) == params_sha256(serial.server, serial.store)
        (event,) = run.logs[1].row["failures"]
        assert event["kind"] == "actor_died"
        assert event["run_again"]
        assert os.uname().nodename in event["node"]
        assert event["recovery_s"] > 0
        assert [actor.node.id for actor in pool.actors] == [head()] * 2
        until(lambda: living() == {head(): 2})
    finally:
        pool.close()
    until(lambda: not living())


@pytest.mark.slow
def test_replies_stored_on_a_dead_node_are_computed_again(second: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from another machine: the memory that actors share with the driver is not to be found there."""
    acquire = SlotPool.acquire

    def elsewhere(slots: SlotPool) -> SlotHandle | None:
        handle = acquire(slots)
        return handle and replace(handle, path="/proc/0/fd/0")

    monkeypatch.setattr(SlotPool, "acquire", elsewhere)
    pool = large_replies(0.02, TWO_ACTORS)
    try:
        assert [reply.upload.buffer[-1] for reply in pool.map(asked(20))] == list(range(20))
        replies = pool.map(asked(60))
        first = next(replies)
        time.sleep(1.0)  # both actors have replied to all they were sent, and nobody has fetched it
        kill(second)
        assert [int(reply.upload.buffer.max()) for reply in (first, *replies)] == list(range(60))
        assert {event["kind"] for event in pool.events} == {"actor_died"}
        assert len(pool.actors) == 2
    finally:
        pool.close()


@pytest.mark.slow
def test_two_actors_share_a_gpu_and_a_third_is_refused(cluster: Cluster) -> None:
    half = replace(TWO_ACTORS, gpus_per_actor=0.5)
    pool = large_replies(0.0, half)
    try:
        assert list(pool.map(asked(6, "gpu"))) == [("0", True)] * 6
        assert living() == {head(): 2}
        assert ray.available_resources().get("GPU", 0.0) == 0.0
    finally:
        pool.close()
    third = "3 actors x 0.5 GPU need 1.5 GPUs, but 1 are available: set engine.gpus_per_actor to at most 0.3333"
    with pytest.raises(FedMRGError, match=third):
        large_replies(0.0, replace(half, actors=3))
    with pytest.raises(FedMRGError, match=r"2 actors x 0.6 GPU need 1.2 GPUs.* at most 0.5"):
        large_replies(0.0, replace(TWO_ACTORS, gpus_per_actor=0.6))


@pytest.mark.slow
def test_a_pool_continues_with_the_remaining_gpus(cluster: Cluster, second: Any) -> None:
    with pytest.raises(FedMRGError, match=r"3 actors x 0.6 GPU need 3 GPUs, but 2 are available.* at most 0.5"):
        large_replies(0.0, replace(TWO_ACTORS, actors=3, gpus_per_actor=0.6))
    until(lambda: ray.available_resources().get("GPU", 0.0) == 2.0)
    pool = large_replies(0.1, replace(TWO_ACTORS, gpus_per_actor=1.0))
    try:
        replies = pool.map(asked(20))
        first = next(replies)
        until(lambda: sorted(living().values()) == [1, 1])
        kill(second)
        assert [int(reply.upload.buffer.max()) for reply in (first, *replies)] == list(range(20))
        assert [event["actors_left"] for event in pool.events] == [1]
        assert [actor.node.id for actor in pool.actors] == [head()]
    finally:
        pool.close()


def test_a_gpu_share_is_never_split_over_two_gpus() -> None:
    nodes = [(8, 0.3333), (1, 0.1666), (0, 0.5), (8, 1)]
    assert [actors_per_node(gpus, share) for gpus, share in nodes] == [24, 6, 0, 8]


@pytest.mark.slow
def test_every_node_must_see_data_and_base(
    second: Any, toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, blind, driver = toy_spec(toy_cache, "fedmrg"), second.node_id, os.getpid()
    (name,) = (node.name for node in nodes() if node.id == blind)

    def look(spec: WorkerSpec, machine: Callable[[], str]) -> NodeReport:
        here = ray.get_runtime_context().get_node_id() == blind
        return inspect_here(replace(spec, federation=str(tmp_path / "gone")) if here else spec, machine)

    def without_package(spec: WorkerSpec, machine: Callable[[], str]) -> Any:
        if os.getpid() != driver:
            raise ModuleNotFoundError("No module named 'fedmrg_core'")
        return inspect_here(spec, machine)

    def for_ever(spec: WorkerSpec, machine: Callable[[], str]) -> Any:
        return inspect_here(spec, machine) if os.getpid() == driver else time.sleep(600)

    with pytest.raises(FedMRGError, match=r"^node .*: cannot run a worker \(No module named.*\(1 more nodes"):
        check_nodes(spec, TWO_ACTORS, inspect=without_package)
    with pytest.raises(FedMRGError, match=r"^node .*: cannot run a worker \(no answer within 2 s"):
        check_nodes(spec, replace(TWO_ACTORS, wait_s=2.0), inspect=for_ever)
    monkeypatch.setattr(workers_module, "start_ray", lambda config: lambda: None)
    monkeypatch.setattr(workers_module, "check_nodes", lambda *given: check_nodes(*given, inspect=look))
    with pytest.raises(FedMRGError) as caught, workers_module.Workers(spec, TWO_ACTORS):
        raise AssertionError("a run must not start")
    said = str(caught.value)
    assert said.startswith(f"node {name}: {tmp_path / 'gone'}: not a prepared federation")
    assert "under the same path" in said
    assert "more nodes" not in said
    assert "\n" not in said
