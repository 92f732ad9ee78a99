"""Replies through shared memory: complete, not overwritten while in use, and optional."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from fedmrg_core.engine.memory.shared_slots import MAX_TOTAL_BYTES, MIN_REPLY_BYTES, SlotClient, SlotPool, SlotRef
from fedmrg_core.engine.memory.wire import EMPTY, Packed
from fedmrg_core.engine.messages import TrainReply
from fedmrg_core.engine.pool import Call
from fedmrg_core.engine.ray.pool import RayPool
from tests.toy import TWO_ACTORS

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no anonymous files")


@dataclass(frozen=True)
class Reply:
    number: int
    payload: Packed


def reply(value: int, size: int = MIN_REPLY_BYTES + 5) -> Reply:
    return Reply(value, Packed((), np.full(size, value, dtype=np.uint8)))


def test_a_slot_is_free_once_the_last_view_of_its_replies_is_gone() -> None:
    slots, client = SlotPool(actors=1, size=4 * MIN_REPLY_BYTES), SlotClient()
    first = slots.acquire()
    given = [reply(7), "words", reply(9)]
    answer, size = client.open(first).put(given)
    assert isinstance(answer[0].payload, SlotRef)
    assert 2 * MIN_REPLY_BYTES < size <= slots.size
    loaded = slots.read(first, answer)
    assert [loaded[0].number, loaded[1], loaded[2].number] == [7, "words", 9]
    assert [set(loaded[i].payload.buffer.tolist()) for i in (0, 2)] == [{7}, {9}]
    assert len(loaded[2].payload.buffer) == MIN_REPLY_BYTES + 5
    others = [slots.acquire() for _ in range(slots.count - 1)]
    assert None not in others
    assert slots.full
    kept = loaded[2].payload.buffer[5:9]
    del loaded, answer
    gc.collect()
    assert slots.acquire() is None
    assert kept.tolist() == [9] * 4
    del kept
    gc.collect()
    assert slots.acquire() == first


def test_a_payload_that_was_built_in_the_slot_is_not_copied() -> None:
    slots = SlotPool(actors=1, size=3 * MIN_REPLY_BYTES)
    handle = slots.acquire()
    writer = SlotClient().open(handle)
    made = [writer.alloc([MIN_REPLY_BYTES]).numpy() for _ in range(4)]  # three fit; the second is never sent
    for value, buffer in enumerate(made):
        buffer[:] = value
    given = [Reply(0, Packed((), made[0])), Reply(2, Packed((), made[2])), Reply(3, Packed((), made[3]))]
    answer, size = writer.put(given)
    made[0][5] = 50
    assert size == 3 * MIN_REPLY_BYTES
    assert [answer[i].payload.offset for i in range(2)] == [0, 2 * MIN_REPLY_BYTES]
    assert answer[2] is given[2]
    loaded = slots.read(handle, answer)
    assert [int(one.payload.buffer[5]) for one in loaded] == [50, 2, 3]


def test_space_of_a_buffer_that_is_not_sent_is_reused() -> None:
    slots = SlotPool(actors=1, size=3 * MIN_REPLY_BYTES)
    handle = slots.acquire()
    writer = SlotClient().open(handle)
    first, _unsent = writer.alloc([MIN_REPLY_BYTES]).numpy(), writer.alloc([2 * MIN_REPLY_BYTES]).numpy()
    first[:] = 1
    answer, _ = writer.put([Reply(1, Packed((), first)), reply(2, 2 * MIN_REPLY_BYTES)])
    assert [type(one.payload) for one in answer] == [SlotRef, SlotRef]
    assert [set(one.payload.buffer.tolist()) for one in slots.read(handle, answer)] == [{1}, {2}]


def test_without_a_fitting_slot_a_reply_travels_unchanged() -> None:
    slots = SlotPool(actors=1, size=2 * MIN_REPLY_BYTES)
    handle = slots.acquire()
    assert handle is not None
    elsewhere, gone = replace(handle, path=f"/proc/{os.getpid()}/fd/0"), replace(handle, path="/proc/0/fd/0")
    size = MIN_REPLY_BYTES
    cases = [(None, size), (handle, 8), (handle, 3 * size), (elsewhere, size), (gone, size)]
    for where, size in cases:
        given = [reply(3, size)]
        assert SlotClient().open(where).put(given)[0][0] is given[0]
    assert slots.read(handle, ["small"]) == ["small"]
    gc.collect()
    assert handle in [slots.acquire() for _ in range(slots.count)]
    assert slots.resized_for(MIN_REPLY_BYTES) is slots
    assert slots.resized_for(3 * MIN_REPLY_BYTES).size >= 3 * MIN_REPLY_BYTES
    assert SlotPool(actors=2, size=MAX_TOTAL_BYTES + 1).acquire() is None


def test_without_memory_for_slots_replies_travel_in_their_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(os, "ftruncate", refuse)
    slots = SlotPool(actors=2, size=MIN_REPLY_BYTES)
    assert (slots.count, slots.num_bytes, slots.acquire(), slots.full) == (0, 0, None, False)


@pytest.mark.usefixtures("ray_running")
def test_replies_that_the_caller_keeps_are_not_overwritten() -> None:
    class Large:
        def __init__(self, spec: None) -> None:
            pass

        def say(self, task: int, shared: Any, alloc: Any = None) -> TrainReply:
            payload = Packed((), np.full(2**17, task, dtype=np.uint8))
            return TrainReply(str(task), payload, EMPTY, 1.0, {}, 1, 0.0)

    pool = RayPool(None, TWO_ACTORS, Large)
    try:
        calls = [Call("say", number, None, f"client {number}") for number in range(40)]
        kept = list(pool.map(calls))
        assert pool.slots.count > 0
        assert [int(one.upload.buffer.max()) for one in pool.map(calls)] == list(range(40))
        assert [set(one.upload.buffer.tolist()) for one in kept] == [{number} for number in range(40)]
    finally:
        pool.close()
