"""Neither the number of actors nor a killed one changes a bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from fedmrg_core.engine.memory.wire import EMPTY, pack
from fedmrg_core.engine.messages import TrainTask
from fedmrg_core.engine.pool import Call
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import FedMRGError
from fedmrg_core.evaluate import evaluate
from tests.conftest import RayInstance
from tests.toy import TWO_ACTORS, Run, toy_config, toy_spec


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    return toy_spec(toy_cache, "fedmrg")


def outcome(run: Run) -> tuple[str, pd.DataFrame]:
    """The hash of a run and all its reports, written over the same workers."""
    config = replace(toy_config("fedmrg").evaluate, batch_size=4)
    frame = evaluate(run.spec.algorithm, run.federation, run.server, run.store, run.pool, config, run.spec.seed)
    return params_sha256(run.server, run.store), frame


@pytest.fixture(scope="module", name="expected")
def _expected(spec: WorkerSpec) -> tuple[str, pd.DataFrame]:
    return outcome(Run(spec))


def test_a_repeat_in_this_process_is_the_same(spec: WorkerSpec, expected: tuple[str, pd.DataFrame]) -> None:
    sha, frame = outcome(Run(spec))
    assert sha == expected[0]
    pd.testing.assert_frame_equal(frame, expected[1])


@pytest.fixture(scope="module", name="two")
def _two(spec: WorkerSpec, ray_instance: RayInstance) -> Iterator[RayPool]:
    """Two actors that several tests use: their calls leave nothing behind."""
    ray_instance.start()
    with closing(RayPool(spec, TWO_ACTORS)) as pool:
        yield pool


@pytest.mark.slow  # that two actors change nothing is seen below
@pytest.mark.usefixtures("ray_running")
@pytest.mark.parametrize("actors", [1, 4])
def test_the_number_of_actors_changes_nothing(
    spec: WorkerSpec, expected: tuple[str, pd.DataFrame], actors: int
) -> None:
    with closing(RayPool(spec, replace(TWO_ACTORS, actors=actors))) as pool:
        sha, frame = outcome(Run(spec, pool))
    assert sha == expected[0]
    pd.testing.assert_frame_equal(frame, expected[1])


def test_a_clients_own_error_names_the_client_and_the_pool_goes_on(
    spec: WorkerSpec, two: RayPool, expected: tuple[str, pd.DataFrame]
) -> None:
    bad = Call("train", TrainTask("nobody", 0, EMPTY), two.share(pack({"shared": {}})), "client nobody, round 0")
    with pytest.raises(FedMRGError, match="client nobody, round 0: KeyError"):
        list(two.map([bad]))
    sha, frame = outcome(Run(spec, two))
    assert sha == expected[0]
    pd.testing.assert_frame_equal(frame, expected[1])


def test_a_killed_actor_changes_nothing_and_is_recorded(
    spec: WorkerSpec, two: RayPool, expected: tuple[str, pd.DataFrame]
) -> None:
    import ray

    os.kill(ray.get(two.actors[0].handle.pid.remote()), signal.SIGKILL)
    run = Run(spec, two)
    assert params_sha256(run.server, run.store) == expected[0]
    assert [event["kind"] for event in two.events] == ["actor_died"]
    assert [event for log in run.logs for event in log.row["failures"]] == two.events
