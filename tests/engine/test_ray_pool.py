"""Calls on Ray actors: order, batches, errors, actors that die."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pytest
import torch

from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.pool import Call
from fedmrg_core.engine.ray.dispatch import Dispatch, Message
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.errors import FedMRGError
from tests.toy import TWO_ACTORS


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


@pytest.mark.usefixtures("ray_running")
def test_missing_gpus_are_refused_with_what_to_change() -> None:
    with pytest.raises(FedMRGError, match=r"gpus_per_actor = 0.5, but Ray sees no GPU: set it to 0"):
        RayPool(None, replace(TWO_ACTORS, gpus_per_actor=0.5))


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
