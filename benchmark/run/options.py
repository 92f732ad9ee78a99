"""How a run is made and where its files go, apart from what it computes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmark.run.settings import Config
from fedmrg_core.paths import ROOT

RUNS = ROOT / "runs"
CACHE = ROOT / ".cache"
BENCH_VERSION = "3"
"""Raised when the same config would score differently; versions are never ranked together."""
DRAWS = 6
"""Draws of phantom and of the base: seed N uses draw N modulo this. Boards have draws 0 to 4; draw 5 is for tuning."""


@dataclass(frozen=True)
class Options:
    """How a run is made, apart from what it computes. resume: a run id, or "". quiet: no progress, no table."""

    quiet: bool = False
    resume: str = ""
    runs: Path = RUNS
    cache: Path = CACHE
    track: bool = True


def new_run_id(config: Config) -> str:
    """Unique per start, and readable: time, algorithm, split, seed."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    split = config.run.split.replace("/", "-")
    return f"{stamp}-{config.name}-{split}-s{config.run.seed}-{os.urandom(2).hex()}"
