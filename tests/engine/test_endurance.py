"""Many clients, many rounds, several runs at once. Slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.test_bench import start
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def measured(*options: str) -> dict[str, Any]:
    """A row of `benchmark.perf.federated`, in a process of its own."""
    command = [sys.executable, "-m", "benchmark.perf.federated", "--algo", "noop", "--actors", "2", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr[-2000:]
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads /proc, which Linux has")
def test_420_rounds_do_not_grow() -> None:
    row = measured("--clients", "20", "--rounds", "420", "--private-mb", "0.1", "--at", "100", "420")
    early, late = row["memory"]["100"], row["memory"]["420"]
    grown = [late["driver"]["own"] - early["driver"]["own"]]
    grown += [new["own"] - old["own"] for old, new in zip(early["actors"], late["actors"], strict=True)]
    assert len(grown) == 3
    assert max(grown) < 10, "MB"


def test_1000_clients_cost_the_driver_no_more_than_100(tmp_path: Path) -> None:
    few, many = (measured("--clients", clients, "--rounds", "3") for clients in ("100", "1000"))
    assert many["driver_peak_mb"] < few["driver_peak_mb"] + 50


def test_four_runs_at_once_on_one_empty_cache_agree(tmp_path: Path) -> None:
    given = ("train.rounds=6", "engine.actors=2")
    children = [start(tmp_path / "runs", tmp_path / "cache", *given) for _ in range(4)]
    assert [child.wait(timeout=1200) for child in children] == [0] * 4
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/result.json")]
    assert len(results) == 4
    assert {result["status"] for result in results} == {"finished"}
    assert len({result["params_sha256"] for result in results}) == 1
    assert len({json.dumps(result["scores"], sort_keys=True) for result in results}) == 1
