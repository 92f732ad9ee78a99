"""Where tasks run cannot change a bit: serial, Ray, a killed actor; and nothing is left running."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmrg_core.engine.memory import process as memory
from fedmrg_core.engine.memory.wire import EMPTY, pack, unpack
from fedmrg_core.engine.messages import TrainTask
from fedmrg_core.engine.pool import Call, SerialPool
from fedmrg_core.engine.ray.dispatch import Dispatch
from fedmrg_core.engine.ray.pool import Message, RayPool
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.engine.worker import WorkerSpec
from fedmrg_core.errors import FedMRGError
from tests.toy import TWO_ACTORS, Run, toy_spec


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    return toy_spec(toy_cache, "fedmrg")


@pytest.fixture(scope="module", name="serial_hash")
def _serial_hash(spec: WorkerSpec) -> str:
    run = Run(spec)
    return params_sha256(run.server, run.store)


@pytest.mark.usefixtures("ray_running")
def test_ray_equals_serial_bit_by_bit_also_when_an_actor_is_killed(spec: WorkerSpec, serial_hash: str) -> None:
    pool = RayPool(spec, TWO_ACTORS)
    try:
        run = Run(spec, pool)
        assert params_sha256(run.server, run.store) == serial_hash
        import ray

        victim = pool.actors[0].handle
        os.kill(ray.get(victim.pid.remote()), signal.SIGKILL)
        again = Run(spec, pool)
        assert params_sha256(again.server, again.store) == serial_hash
        assert [event["kind"] for event in pool.events] == ["actor_died"]
        failures = [event for log in again.logs for event in log.row["failures"]]
        assert failures == pool.events
    finally:
        pool.close()


@pytest.mark.usefixtures("ray_running")
def test_a_clients_own_error_names_the_client_and_the_pool_goes_on(spec: WorkerSpec) -> None:
    pool = RayPool(spec, replace(TWO_ACTORS, actors=1))
    try:
        shared = pool.share(pack({"shared": {}}))
        bad = Call("train", TrainTask("nobody", 0, EMPTY), shared, "client nobody, round 0")
        with pytest.raises(FedMRGError, match="client nobody, round 0: KeyError"):
            list(pool.map([bad]))
        assert params_sha256(*_state(Run(spec, pool))) == params_sha256(*_state(Run(spec)))
    finally:
        pool.close()


def echo() -> type[Any]:
    """A worker that answers its task. Made here, so that the class itself travels: actors import no tests."""

    class Echo:
        def __init__(self, spec: None) -> None:
            pass

        def say(self, task: int, shared: Any, alloc: Any = None) -> tuple[int, int]:
            if task < 0:
                raise ValueError("no word")
            return task, shared.num_bytes

    return Echo


@pytest.mark.usefixtures("ray_running")
def test_short_calls_share_messages_and_come_back_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[int] = []
    batch = Dispatch._batch

    def counted(dispatch: Any, first: Call, seconds: float) -> list[int]:
        taken = batch(dispatch, first, seconds)
        messages.append(len(taken))
        return taken

    monkeypatch.setattr(Dispatch, "_batch", counted)
    pool = RayPool(None, TWO_ACTORS, echo())
    try:
        shared = pool.share(pack({"shared": {"w": torch.zeros(16)}}))
        calls = [Call("say", number, shared, f"client {number}") for number in range(60)]
        assert list(pool.map(calls)) == [(number, 64) for number in range(60)]
        assert sum(messages) == 60
        assert max(messages) > 1
        calls[30] = replace(calls[30], task=-1)
        replies = pool.map(calls)
        assert [next(replies)[0] for _ in range(30)] == list(range(30))
        with pytest.raises(FedMRGError, match="client 30: ValueError: no word"):
            next(replies)
        assert list(pool.map(calls[:30])) == [(number, 64) for number in range(30)]
    finally:
        pool.close()


@pytest.mark.usefixtures("ray_running")
def test_a_worker_that_cannot_start_says_why() -> None:
    class Broken:
        def __init__(self, spec: None) -> None:
            raise OSError("no such base")

    pool = RayPool(None, replace(TWO_ACTORS, actors=1), Broken)
    try:
        with pytest.raises(FedMRGError, match=r"client a: its worker died 3 times.*no such base"):
            list(pool.map([Call("say", 0, pool.share(pack({})), "client a")]))
    finally:
        pool.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which Linux has")
@pytest.mark.usefixtures("ray_running")
def test_the_driver_lets_go_of_pages_it_has_read_and_loses_nothing() -> None:
    import ray

    payload = ray.get(ray.put(pack({"a": {"w": torch.ones(2**20)}})))
    assert payload.buffer.sum(dtype="int64") > 0
    before = memory.shared_memory_bytes()
    memory.release_object_store_pages(limit=0)
    after = memory.shared_memory_bytes()
    assert before - after >= 2**22
    assert torch.equal(unpack(payload)["a"]["w"], torch.ones(2**20))


def _state(run: Run) -> tuple[Any, Any]:
    return run.server, run.store


@pytest.mark.usefixtures("ray_running")
def test_gpus_that_are_not_there_are_refused_with_what_to_change(spec: WorkerSpec) -> None:
    with pytest.raises(FedMRGError, match=r"gpus_per_actor = 0.5, but Ray sees no GPU: set it to 0"):
        RayPool(spec, replace(TWO_ACTORS, gpus_per_actor=0.5))


def test_serial_pool_names_the_client_in_a_bug(spec: WorkerSpec) -> None:
    run = Run(replace(spec, train=replace(spec.train, rounds=0)))
    call = Call("train", TrainTask("nobody", 0, EMPTY), pack({"shared": {}}), "client nobody, round 0")
    with pytest.raises(KeyError) as caught:
        list(SerialPool(run.worker).map([call]))
    assert "client nobody, round 0" in caught.value.__notes__[0]


def test_wire_keeps_every_bit_name_shape_and_dtype() -> None:
    payload = {
        "a": {"w": torch.randn(3, 5).T, "half": torch.randn(7).to(torch.bfloat16), "scalar": torch.tensor(2.0)},
        "b": {"none": torch.empty(0, 4), "int": torch.arange(5), "bool": torch.tensor([True, False])},
    }
    back = unpack(pack(payload))
    assert {g: list(s) for g, s in back.items()} == {g: list(s) for g, s in payload.items()}
    for group, state in payload.items():
        for name, tensor in state.items():
            assert back[group][name].dtype == tensor.dtype
            assert back[group][name].equal(tensor)


@pytest.mark.usefixtures("ray_running")
def test_a_call_that_kills_its_actor_takes_no_other_with_it() -> None:
    class Fatal:
        def __init__(self, spec: None) -> None:
            pass

        def say(self, task: int, shared: Any, alloc: Any = None) -> int:
            if task == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return task

    pool = RayPool(None, TWO_ACTORS, Fatal)
    try:
        calls = [Call("say", number, None, f"client {number}") for number in range(24)]
        assert list(pool.map(calls[:3])) == [0, 1, 2]
        replies = list(pool.map(calls, keep_going=True))
        assert [number for number, reply in enumerate(replies) if reply != number] == [3]
        assert "client 3: its worker died 3 times" in str(replies[3])
    finally:
        pool.close()


@pytest.mark.usefixtures("ray_running")
def test_lost_work_is_sent_again_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many actors die one after the other: what waits first is what is sent first."""
    pool = RayPool(None, replace(TWO_ACTORS, actors=1), echo())
    try:
        dispatch = Dispatch(pool, [Call("say", n, None, f"client {n}") for n in range(40)], 0.0)
        monkeypatch.setattr(pool, "replace", lambda actor: None)
        dispatch.queue.clear()
        for lost in ([20, 26], [0, 9], [12]):
            actor = replace(pool.actors[0], running={object(): Message(lost, pool.slots, None)})
            dispatch._retry(actor, "killed")
        assert list(dispatch.queue) == [0, 9, 12, 20, 26]
    finally:
        pool.close()
