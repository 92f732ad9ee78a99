"""A client that fails is dropped or replaced as the policy says, and is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.failures import Fault, Policy
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import FedMRGError
from tests.toy import Run, faulty, toy_spec

DROP = Policy(on_failure="drop")


def _state(run: Run) -> tuple[object, ClientStore]:
    return run.server, run.store


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    """FedMRG without a finish, which would count as one round more."""
    return toy_spec(toy_cache, "fedmrg", choose_share=False)


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
    first, second = (log.row for log in run.logs[:2])
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
    half = Run(whole, policy=policy, stop=1)
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


def test_without_actors_a_late_reply_is_refused(spec: WorkerSpec, client: str) -> None:
    late = faulty(spec, Fault("slow_client", rounds=(1,), client=client, seconds=0.5))
    run = Run(late, policy=Policy(on_failure="drop", deadline_s=0.4))
    assert {event["kind"] for event in run.logs[1].row["failures"]} == {"deadline"}
