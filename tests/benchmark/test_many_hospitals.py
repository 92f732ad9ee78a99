"""A thousand hospitals in one manifest. Slow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.run.experiment import run_experiment
from benchmark.run.options import Options
from tests.toy import toy_config


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
