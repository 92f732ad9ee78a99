"""Kills at random moments, over and over: the result is the same. Slow."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmark.run import settings
from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from tests.benchmark.test_bench import start, wait_for_rounds
from tests.conftest import RayInstance
from tests.toy import toy_config


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_soak_of_random_kills(
    toy_cache: Path, tmp_path: Path, ray_instance: RayInstance, seed: int
) -> None:
    """Actors and drivers die at random moments, those of a checkpoint's write included; the end is the same."""
    ray_instance.stop()
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
