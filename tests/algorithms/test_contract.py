"""Every trained algorithm: personal tensors never travel, frozen ones never move, the ledger counts what does, and both
agree with what the algorithm declares. A resumed run ends in the same bits as a whole one, and no round writes into the
state of the round before, on which background checkpoints rely.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.run.plan import traffic_of_rounds
from benchmark.run.traffic import traffic
from fedmrg_core import tree
from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.algorithms.registry import algorithms
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import unpack
from fedmrg_core.engine.messages import memory_of
from fedmrg_core.engine.rounds import RoundRecord, params_sha256
from tests.toy import Run, same, toy_spec

TRAINED = sorted(name for name, cls in algorithms().items() if cls.trains)


class Watched(Run):
    """Two rounds. Remembers the state after the first, and its hash at that time."""

    def _log(self, server: ServerState, store: ClientStore, log: RoundRecord) -> None:
        super()._log(server, store, log)
        if log.round == 0:
            self.first = server, ClientStore()
            for client in store.clients():
                self.first[1].put(client, store.get(client))
            self.digest = params_sha256(server, store)


@pytest.fixture(scope="module", name="run", params=TRAINED)
def _run(request: pytest.FixtureRequest, toy_cache: Path) -> Watched:
    return Watched(toy_spec(toy_cache, request.param))


def test_a_resumed_run_ends_in_the_same_bits_and_former_states_stay(run: Watched, tmp_path: Path) -> None:
    assert not run.initial.params or not same(run.initial, run.server), "training moved nothing"
    assert params_sha256(*run.first) == run.digest
    checkpoint.save(tmp_path, *run.first)
    resumed = Run(run.spec, start=checkpoint.load(tmp_path))
    assert len(resumed.logs) == len(run.logs) - 1
    assert params_sha256(resumed.server, resumed.store) == params_sha256(run.server, run.store)


def test_personal_tensors_never_travel(run: Run) -> None:
    groups = {(row["direction"], row["group"]) for row in run.logs[0].ledger}
    assert {("upload", "delta"), ("download", "shared")} <= groups
    assert not set(run.worker.personal_names()) & set(run.server.params)


def test_frozen_tensors_never_move(run: Run) -> None:
    fresh = dict(Run(replace(run.spec, train=replace(run.spec.train, rounds=0))).worker.model.named_parameters())
    run.worker.start_from({})  # what a script loaded into frozen ones is gone before the next client
    moved = [n for n, p in run.worker.model.named_parameters() if n not in run.worker.initial and not p.equal(fresh[n])]
    assert moved == []


def test_the_ledger_is_the_sum_of_its_tensors(run: Run) -> None:
    down = [row for row in run.logs[0].ledger if row["direction"] == "download" and row["group"] == "shared"]
    assert {row["bytes"] for row in down} == {tree.num_bytes(run.initial.params)}
    up = sum(row["bytes"] for row in run.logs[0].ledger if row["direction"] == "upload")
    assert run.logs[0].row["upload_bytes"] == up


def test_the_ledger_is_what_was_declared_before_the_round(run: Run) -> None:
    for client in run.logs[0].row["clients"]:
        counted = {(r["direction"], r["group"]): r["bytes"] for r in run.logs[0].ledger if r["client"] == client}
        assert counted == traffic(run.spec.algorithm, run.initial, client).groups


def test_a_plan_has_the_bytes_that_the_ledger_counts(run: Run) -> None:
    clients = sorted(hospital.name for hospital in run.federation.hospitals if hospital.seen)
    planned = traffic_of_rounds(run.spec.algorithm, run.initial, clients)
    assert len(planned) == 2
    for log in run.logs[:2]:
        for client in log.row["clients"]:
            counted = {(r["direction"], r["group"]): r["bytes"] for r in log.ledger if r["client"] == client}
            of_client = planned[log.round].get(client) or planned[log.round][clients[0]]  # all hospitals as one
            assert counted == of_client.groups


def test_a_client_stores_only_what_is_declared(run: Run) -> None:
    stored = {group for client in run.store.clients() for group in memory_of(unpack(run.store.get(client)))}
    assert stored <= set(run.spec.algorithm.keeps)
