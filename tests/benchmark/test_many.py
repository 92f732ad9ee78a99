"""Many at once: runs that share a cache, hospitals in one manifest. Run with -m slow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from tests.benchmark.test_bench import start
from tests.toy import toy_config


def result_of(runs: Path) -> dict[str, Any]:
    (path,) = runs.glob("*/result.json")
    return dict(json.loads(path.read_text()))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_runs_at_once_on_an_empty_cache_end_in_the_same_bits(tmp_path: Path) -> None:
    """They wait for each other's films and base, or share them; nobody reads what is half written."""
    children = [start(tmp_path / f"runs{at}", tmp_path / "cache") for at in range(4)]
    for child in children:
        _, error = child.communicate(timeout=800)
        assert child.returncode == 0, error
    results = [result_of(tmp_path / f"runs{at}") for at in range(4)]
    assert [result["status"] for result in results] == ["finished"] * 4
    assert len({result["params_sha256"] for result in results}) == 1
    assert len({json.dumps(result["scores"], sort_keys=True) for result in results}) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_manifest_with_1000_hospitals(tmp_path: Path, toy_cache: Path) -> None:
    """Ten studies each; a round with 1 % of them, and a score for every one."""
    count, studies = 1000, 10
    root = tmp_path / "data"
    (root / "films").mkdir(parents=True)
    lines = ["image,report,hospital,patient"]
    for at in range(count * studies):
        Image.fromarray(np.full((8, 8), at % 251, np.uint8)).save(root / "films" / f"{at}.png")
        lines.append(f"films/{at}.png,Report {at} of this hospital. No effusion.,H {at // studies},p{at}")
    (root / "manifest.csv").write_text("\n".join(lines))
    config = toy_config(
        "fedavg", f"data.path={root}", "run.split=manifest", "train.rounds=1", "participation=0.01", "local_steps=1",
        "max_tokens=4", "resamples=5",
    )  # fmt: skip
    options = Options(quiet=True, runs=tmp_path / "runs", cache=toy_cache, track=False)
    result = run_experiment(config, options)
    assert result["status"] == "finished"
    assert len({key.split("/")[2] for key in result["scores"] if key.count("/") == 3}) == count
    row = json.loads((tmp_path / "runs" / result["run_id"] / "rounds.jsonl").read_text())
    assert len(row["clients"]) == 10
