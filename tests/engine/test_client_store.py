"""Private states: in memory up to a limit, then on disk, staged ones too; space on disk is reused."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from fedmrg_core import tree
from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import FedMRGError

SIZE = 400
"""Bytes of `private`: 100 float32."""


def private(value: float, width: int = 100) -> Packed:
    return pack({"personal": {"w": torch.full((width,), float(value))}})


def value(store: ClientStore, client: str) -> float:
    return float(unpack(store.get(client))["personal"]["w"].unique())


def test_memory_is_bounded_while_a_whole_cohort_is_staged_and_the_file_does_not_grow_over_rounds() -> None:
    store = ClientStore(memory_limit=3 * SIZE)
    ends = []
    for number in range(6):
        for client in range(20):
            store.stage(f"h{client:02d}", private(100 * number + client))
            assert store.num_bytes[0] <= 3 * SIZE
        store.commit()
        assert [value(store, f"h{client:02d}") for client in range(20)] == [100 * number + c for c in range(20)]
        ends.append(store.num_bytes[1])
    assert ends[0] == 17 * SIZE
    assert max(ends) == 37 * SIZE, "the accepted and the staged states of 20 clients, less the 3 in memory"


def test_a_rollback_leaves_the_former_state_and_reclaims_the_space() -> None:
    store = ClientStore(memory_limit=0)
    store.put("a", private(1))
    store.stage("a", private(2), update=private(3))
    store.rollback()
    assert (value(store, "a"), store.clients_with_update()) == (1, [])
    store.stage("a", private(4), update=private(5))
    store.commit()
    assert (value(store, "a"), store.clients_with_update()) == (4, ["a"])
    assert store.num_bytes == (0, 3 * SIZE)


def test_a_state_of_another_size_fits_into_reclaimed_space_or_gets_new_space() -> None:
    store = ClientStore(memory_limit=0)
    for number, width in enumerate((100, 300, 50, 300, 100)):
        store.stage("a", private(number, width))
        store.stage("b", private(-number, width))
        store.commit()
        assert (value(store, "a"), value(store, "b")) == (number, -number)
        assert len(unpack(store.get("a"))["personal"]["w"]) == width


def test_a_staged_state_is_a_copy() -> None:
    store, given = ClientStore(), private(1)
    store.stage("a", given)
    given.buffer[:] = 0
    store.commit()
    assert value(store, "a") == 1
    store.stage("a", Packed((), given.buffer[:0]))
    store.commit()
    assert value(store, "a") == 1, "an empty state replaces nothing"


def test_the_hash_reads_a_state_on_disk_once_and_is_that_of_states_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes, reads, preadv = [], [], os.preadv

    def counted(*given: Any) -> int:
        reads.append(given)
        return preadv(*given)

    monkeypatch.setattr(os, "preadv", counted)
    for limit in (2**20, 0):
        store = ClientStore(limit)
        for client in range(20):
            store.put(f"h{client}", pack({"personal": {n: torch.full((50,), float(client)) for n in ("v", "w")}}))
        reads.clear()
        hashes.append(params_sha256(ServerState({"x": torch.ones(2)}), store))
    assert hashes[0] == hashes[1] == tree.sha256({"shared/x": torch.ones(2), **{
        f"client/h{c}/personal/{n}": torch.full((50,), float(c)) for c in range(20) for n in ("v", "w")
    }})  # fmt: skip
    assert len(reads) == 2 * 20, "for the names, and for the values"


def test_states_beyond_the_limit_spill_and_staged_ones_are_not_visible_yet() -> None:
    store = ClientStore(memory_limit=1000)
    for number in range(6):
        store.put(f"h{number}", pack({"personal": {"w": torch.full((100,), float(number))}}))
    store.stage("h5", pack({"personal": {"w": torch.full((200,), 7.0)}}))
    assert float(unpack(store.get("h5"))["personal"]["w"][0]) == 5.0
    store.commit()
    assert store.clients() == [f"h{number}" for number in range(6)]
    assert [float(unpack(store.get(f"h{n}"))["personal"]["w"][-1]) for n in range(6)] == [0, 1, 2, 3, 4, 7]


def test_a_header_is_known_without_reading_a_spilled_state(monkeypatch: pytest.MonkeyPatch) -> None:
    store, state = ClientStore(memory_limit=0), pack({"personal": {"w": torch.ones(3)}})
    assert store.header("h1") == ()
    store.put("h1", state)
    monkeypatch.setattr("fedmrg_core.engine.client_store._read", None)
    assert store.header("h1") == state.header


def test_a_full_temporary_folder_is_one_line_and_the_committed_states_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClientStore(memory_limit=0)
    store.put("a", private(1))

    def full(*given: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(FedMRGError, match=r"No space left on device.*set TMPDIR to another folder") as caught:
        store.stage("a", private(2))
    assert "\n" not in str(caught.value)
    store.rollback()
    assert value(store, "a") == 1
