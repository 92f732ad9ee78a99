"""One hash and the same reports over any number of actors, repeats, and kills at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from benchmark.run import settings
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.engine.worker import WorkerSpec
from fedmrg_core.evaluate import evaluate
from tests.benchmark.test_bench import start, wait_for_rounds
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


@pytest.mark.usefixtures("ray_running")
@pytest.mark.parametrize("actors", [1, 2, 4])
def test_the_number_of_actors_changes_nothing(
    spec: WorkerSpec, expected: tuple[str, pd.DataFrame], actors: int
) -> None:
    pool = RayPool(spec, replace(TWO_ACTORS, actors=actors))
    try:
        sha, frame = outcome(Run(spec, pool))
    finally:
        pool.close()
    assert sha == expected[0]
    pd.testing.assert_frame_equal(frame, expected[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_soak_of_random_kills(toy_cache: Path, tmp_path: Path, seed: int) -> None:
    """Actors and drivers die at random moments, those of a checkpoint's write included; the end is the same."""
    draw = random.Random(seed)
    given = ("train.rounds=40", "engine.actors=2")
    whole = run_experiment(
        toy_config("fedmrg", *given), Options(quiet=True, runs=tmp_path / "whole", cache=toy_cache, track=False)
    )
    child = start(tmp_path / "soak", toy_cache, *given)
    run_id = wait_for_rounds(tmp_path / "soak", 1, child)
    folder = tmp_path / "soak" / run_id
    for _ in range(6):
        for _ in range(draw.randrange(3)):
            time.sleep(draw.random() * 2)
            _kill_an_actor(child.pid, draw)
        time.sleep(draw.random() * 3)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if (folder / "result.json").exists():
            break
        child = start(tmp_path / "soak", toy_cache, *given, resume=run_id)
        time.sleep(8)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    stored = settings.from_dict(json.loads((folder / "config.json").read_text()))
    result = run_experiment(stored, Options(True, run_id, tmp_path / "soak", toy_cache, track=False))
    for key in ("params_sha256", "scores", "communication"):
        assert result[key] == whole[key]


def _kill_an_actor(driver: int, draw: random.Random) -> None:
    """SIGKILL for one of a driver's actors, where it has any by now."""
    actors: list[Any] = [p for p in psutil.Process(driver).children(recursive=True) if p.name().startswith("ray::")]
    if actors:
        draw.choice(actors).kill()
