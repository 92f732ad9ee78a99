"""Replies through shared memory: whole, never overwritten while somebody reads them, and dispensable."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from fedmrg_core.engine.memory.shared_slots import LEAST, MOST, SlotClient, SlotPool, SlotRef
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


def reply(value: int, size: int = LEAST + 5) -> Reply:
    return Reply(value, Packed((), np.full(size, value, dtype=np.uint8)))


def test_a_reply_comes_back_whole_and_its_slot_is_free_once_nobody_reads_it() -> None:
    slots, client = SlotPool(actors=1, size=4 * LEAST), SlotClient()
    first = slots.lease()
    given = [reply(7), "words", reply(9)]
    answer, size = client.at(first).put(given)
    assert isinstance(answer[0].payload, SlotRef)
    assert 2 * LEAST < size <= slots.size
    loaded = slots.load(first, answer)
    assert [loaded[0].number, loaded[1], loaded[2].number] == [7, "words", 9]
    assert [set(loaded[i].payload.buffer.tolist()) for i in (0, 2)] == [{7}, {9}]
    assert len(loaded[2].payload.buffer) == LEAST + 5
    others = [slots.lease() for _ in range(slots.count - 1)]
    assert None not in others
    assert slots.full
    kept = loaded[2].payload.buffer[5:9]
    del loaded, answer
    gc.collect()
    assert slots.lease() is None
    assert kept.tolist() == [9] * 4
    del kept
    gc.collect()
    assert slots.lease() == first


def test_what_was_made_in_the_slot_lies_there_already() -> None:
    slots = SlotPool(actors=1, size=3 * LEAST)
    place = slots.lease()
    writer = SlotClient().at(place)
    made = [writer.alloc([LEAST]).numpy() for _ in range(4)]  # three have place; the second is never sent
    for value, buffer in enumerate(made):
        buffer[:] = value
    given = [Reply(0, Packed((), made[0])), Reply(2, Packed((), made[2])), Reply(3, Packed((), made[3]))]
    answer, size = writer.put(given)
    made[0][5] = 50
    assert size == 3 * LEAST
    assert [answer[i].payload.offset for i in range(2)] == [0, 2 * LEAST]
    assert answer[2] is given[2]
    loaded = slots.load(place, answer)
    assert [int(one.payload.buffer[5]) for one in loaded] == [50, 2, 3]


def test_what_was_made_there_but_is_not_sent_takes_no_place() -> None:
    slots = SlotPool(actors=1, size=3 * LEAST)
    place = slots.lease()
    writer = SlotClient().at(place)
    first, _unsent = writer.alloc([LEAST]).numpy(), writer.alloc([2 * LEAST]).numpy()
    first[:] = 1
    answer, _ = writer.put([Reply(1, Packed((), first)), reply(2, 2 * LEAST)])
    assert [type(one.payload) for one in answer] == [SlotRef, SlotRef]
    assert [set(one.payload.buffer.tolist()) for one in slots.load(place, answer)] == [{1}, {2}]


def test_without_a_fitting_slot_a_reply_goes_as_it_is() -> None:
    slots = SlotPool(actors=1, size=2 * LEAST)
    place = slots.lease()
    assert place is not None
    elsewhere, gone = replace(place, link=f"/proc/{os.getpid()}/fd/0"), replace(place, link="/proc/0/fd/0")
    cases = [(None, LEAST), (place, 8), (place, 3 * LEAST), (elsewhere, LEAST), (gone, LEAST)]
    for where, size in cases:
        given = [reply(3, size)]
        assert SlotClient().at(where).put(given)[0][0] is given[0]
    assert slots.load(place, ["small"]) == ["small"]
    gc.collect()
    assert place in [slots.lease() for _ in range(slots.count)]
    assert slots.fitting(LEAST) is slots
    assert slots.fitting(3 * LEAST).size >= 3 * LEAST
    assert SlotPool(actors=2, size=MOST + 1).lease() is None


@pytest.mark.usefixtures("ray_running")
def test_who_keeps_replies_keeps_their_values() -> None:
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
