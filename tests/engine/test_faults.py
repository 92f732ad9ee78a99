"""A client that fails is dropped or stood in for as the policy says, under its own name; nothing hangs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.failures import Fault, Faults, Policy
from fedmrg_core.engine.fault_injection import FaultyWorker
from fedmrg_core.engine.memory.wire import pack, unpack
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.engine.worker import WorkerSpec
from fedmrg_core.errors import ConfigError, FedMRGError
from tests.toy import TWO_ACTORS, Run, toy_spec

DROP = Policy(on_failure="drop")


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    return toy_spec(toy_cache, "fedmrg")


@pytest.fixture(scope="module", name="client")
def _client(spec: WorkerSpec) -> str:
    """The client that is folded first."""
    return Run(replace(spec, train=replace(spec.train, rounds=1))).logs[0].row["clients"][0]


def faulty(spec: WorkerSpec, *faults: Fault) -> WorkerSpec:
    return replace(spec, faults=faults)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("client_error", "RuntimeError: injected"),
        ("nonfinite_update", "is not finite"),
        ("truncated_payload", "bytes arrived"),
        ("out_of_memory", "MemoryError: injected"),
    ],
)
def test_a_failed_client_is_dropped_by_name_and_keeps_its_private_state(
    spec: WorkerSpec, client: str, kind: str, words: str
) -> None:
    spec = faulty(spec, Fault(kind, rounds=(1,), client=client, value="inf"))
    run = Run(spec, policy=DROP)
    first, second = (log.row for log in run.logs)
    assert first["failures"] == []
    assert client in first["accepted"]
    (failure,) = second["failures"]
    assert {key: failure[key] for key in ("kind", "client", "round", "policy")} == {
        "kind": kind, "client": client, "round": 1, "policy": "drop",
    }  # fmt: skip
    assert words in failure["message"]
    assert failure["recovery_s"] >= 0
    assert second["accepted"] == [name for name in second["clients"] if name != client]
    uploads = [r for r in run.logs[1].ledger if (r["client"], r["direction"]) == (client, "upload")]
    assert bool(uploads) == (kind in ("nonfinite_update", "truncated_payload"))
    before = Run(replace(spec, train=replace(spec.train, rounds=1)), policy=DROP)
    assert run.store.get(client).buffer.tobytes() == before.store.get(client).buffer.tobytes()
    with pytest.raises((FedMRGError, RuntimeError, MemoryError)):
        Run(spec)


def test_reuse_last_takes_the_accepted_update_once_more_also_after_a_resume(
    spec: WorkerSpec, client: str, tmp_path: Path
) -> None:
    policy = Policy(on_failure="reuse_last")
    whole = faulty(spec, Fault("client_error", rounds=(0, 1), client=client))
    assert Run(whole, policy=policy).logs[1].row["failures"][0]["policy"] == "drop"  # it has none to reuse
    whole = faulty(spec, Fault("client_error", rounds=(1,), client=client))
    run = Run(whole, policy=policy)
    assert run.logs[1].row["failures"][0]["policy"] == "reuse_last"
    assert client in run.logs[1].row["accepted"]
    half = Run(replace(whole, train=replace(spec.train, rounds=1)), policy=policy)
    checkpoint.save(tmp_path, half.server, half.store)
    again = Run(whole, start=checkpoint.load(tmp_path), policy=policy)
    assert params_sha256(again.server, again.store) == params_sha256(run.server, run.store)


def test_when_every_client_fails_the_run_stops_with_the_reason(spec: WorkerSpec, client: str) -> None:
    names = Run(replace(spec, train=replace(spec.train, rounds=1))).logs[0].row["clients"]
    spec = faulty(spec, *(Fault("client_error", rounds=(0,), client=name) for name in names))
    with pytest.raises(FedMRGError, match=r"round 0: every client failed: client .*injected"):
        Run(spec, policy=DROP)


def test_a_stand_in_takes_the_place_of_a_failed_client(spec: WorkerSpec) -> None:
    spec = replace(spec, train=replace(spec.train, rounds=1, participation=0.34))
    (chosen,) = Run(spec).logs[0].row["clients"]
    policy = Policy(on_failure="drop", over_selection=1.0)
    healthy = Run(spec, policy=policy)
    assert healthy.logs[0].row["accepted"] == [chosen]
    assert len(healthy.logs[0].row["clients"]) == 2
    assert params_sha256(healthy.server, healthy.store) == params_sha256(*_state(Run(spec)))
    failed = Run(faulty(spec, Fault("client_error", rounds=(0,), client=chosen)), policy=policy)
    assert failed.logs[0].row["accepted"] == [c for c in failed.logs[0].row["clients"] if c != chosen]


def _state(run: Run) -> tuple[object, ClientStore]:
    return run.server, run.store


@pytest.mark.usefixtures("ray_running")
def test_killed_actors_cost_time_and_no_bit_and_hopeless_work_falls_to_the_policy(
    spec: WorkerSpec, client: str
) -> None:
    once = faulty(spec, Fault("kill_actor", rounds=(1,), client=client))
    pool = RayPool(once, TWO_ACTORS, FaultyWorker)
    try:
        run = Run(once, pool)
    finally:
        pool.close()
    assert params_sha256(run.server, run.store) == params_sha256(*_state(Run(spec)))
    (event,) = run.logs[1].row["failures"]
    assert event["kind"] == "actor_died"
    assert event["recovery_s"] > 0
    always = faulty(spec, Fault("kill_actor", rounds=(1,), client=client, times=0))
    pool = RayPool(always, TWO_ACTORS, FaultyWorker)
    try:
        run = Run(always, pool, policy=DROP)
    finally:
        pool.close()
    assert [event["kind"] for event in run.logs[1].row["failures"]] == ["actor_died"] * 4
    assert client not in run.logs[1].row["accepted"]
    dropped = Run(faulty(spec, Fault("client_error", rounds=(1,), client=client)), policy=DROP)
    assert params_sha256(run.server, run.store) == params_sha256(*_state(dropped))


@pytest.mark.usefixtures("ray_running")
def test_a_straggler_is_cut_off_at_the_deadline_with_actors_and_without(spec: WorkerSpec, client: str) -> None:
    policy = Policy(on_failure="drop", deadline_s=6.0)
    slow = faulty(spec, Fault("slow_client", rounds=(1,), client=client, seconds=60.0))
    pool = RayPool(slow, TWO_ACTORS, FaultyWorker)
    try:
        run = Run(slow, pool, policy=policy)
    finally:
        pool.close()
    assert run.logs[1].row["failures"][0]["kind"] == "deadline"
    assert client not in run.logs[1].row["accepted"]
    assert run.logs[1].row["seconds"]["total"] < 30
    barely = faulty(spec, Fault("slow_client", rounds=(1,), client=client, seconds=0.5))
    serial = Run(barely, policy=replace(policy, deadline_s=0.4))
    assert {event["kind"] for event in serial.logs[1].row["failures"]} == {"deadline"}


def test_states_beyond_the_bound_lie_on_disk_and_come_back_whole() -> None:
    import torch

    store = ClientStore(bound=1000)
    for number in range(6):
        store.put(f"h{number}", pack({"personal": {"w": torch.full((100,), float(number))}}))
    store.stage("h5", pack({"personal": {"w": torch.full((200,), 7.0)}}))
    assert float(unpack(store.get("h5"))["personal"]["w"][0]) == 5.0
    store.commit()
    assert store.clients() == [f"h{number}" for number in range(6)]
    assert [float(unpack(store.get(f"h{n}"))["personal"]["w"][-1]) for n in range(6)] == [0, 1, 2, 3, 4, 7]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"policy": {"on_failure": "dropp"}}, "Did you mean 'drop'"),
        ({"policy": {"deadline_s": -1}}, "0 or more"),
        ({"fault": [{"kind": "client_error"}]}, r"\[\[fault\]\] 1 lacks 'rounds'"),
        ({"fault": [{"kind": "kil_actor", "rounds": [0]}]}, "Did you mean 'kill_actor'"),
        ({"fault": [{"kind": "client_error", "rounds": ["a"]}]}, "whole numbers"),
        ({"fault": [{"kind": "client_error", "rounds": 1}]}, "takes tuple"),
        ({"faults": []}, "Did you mean 'fault'"),
    ],
)
def test_a_wrong_fault_file_is_refused_in_one_line(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Faults.from_table(table)
    assert "\n" not in str(caught.value)


def test_what_a_run_cannot_do_is_refused_before_it_starts() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'h01'"):
        Faults(faults=(Fault("client_error", (0,), "h1"),)).check(["h01", "h02"], 0, False)
    with pytest.raises(ConfigError, match="--actors 1 or more"):
        Faults(faults=(Fault("kill_actor", (0,), "h01"),)).check(["h01"], 0, False)
    with pytest.raises(ConfigError, match="residue twice"):
        Faults(Policy(on_failure="reuse_last")).check(["h01"], 0, True)
