"""Killed actors and a deadline: the policy decides, and no bit changes otherwise."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from fedmrg_core.engine.failures import Fault, Policy
from fedmrg_core.engine.fault_injection import FaultyWorker
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import params_sha256
from tests.toy import TWO_ACTORS, Run, faulty

DROP = Policy(on_failure="drop")


def digest(run: Run) -> str:
    return params_sha256(run.server, run.store)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_running")
def test_killed_actors_change_no_bit_until_a_call_has_no_try_left_and_the_policy_decides(
    spec: WorkerSpec, client: str
) -> None:
    """Round 1: one actor dies, the client runs again. Round 3: every actor with this client dies, it is dropped."""
    spec = replace(spec, train=replace(spec.train, rounds=4))
    once, always = (Fault("kill_actor", (number,), client, times=times) for number, times in ((1, 1), (3, 0)))
    with closing(RayPool(faulty(spec, once, always), TWO_ACTORS, FaultyWorker)) as pool:
        run = Run(faulty(spec, once, always), pool, policy=DROP)
    rows = [log.row for log in run.logs]
    assert [[event["kind"] for event in row["failures"]] for row in rows] == [
        [], ["actor_died"], [], ["actor_died"] * 4,
    ]  # fmt: skip
    assert rows[1]["failures"][0]["recovery_s"] > 0
    assert client in rows[1]["accepted"]
    assert client not in rows[3]["accepted"]
    assert rows[3]["failures"][3]["policy"] == "drop"
    dropped = Run(faulty(spec, Fault("client_error", rounds=(3,), client=client)), policy=DROP)
    assert digest(run) == digest(dropped)


@pytest.mark.usefixtures("ray_running")
def test_a_late_client_fails_at_the_deadline_and_its_actor_is_replaced(spec: WorkerSpec, client: str) -> None:
    policy = Policy(on_failure="drop", deadline_s=6.0)
    slow = faulty(spec, Fault("slow_client", rounds=(1,), client=client, seconds=60.0))
    with closing(RayPool(slow, TWO_ACTORS, FaultyWorker)) as pool:
        run = Run(slow, pool, policy=policy)
    assert run.logs[1].row["failures"][0]["kind"] == "deadline"
    assert client not in run.logs[1].row["accepted"]
    assert run.logs[1].row["seconds"]["total"] < 30
