"""Runs the tasks of a suite. Each experiment is a process of its own, so that one failure stops nothing else; results
of a clean tree are copied to `leaderboards/results/`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.board.results import Result, committed_text, result_path
from benchmark.run.options import BENCH_VERSION, RUNS
from benchmark.suites.plan import Task
from fedmrg_core.errors import first_line
from fedmrg_core.files import write_atomic
from fedmrg_core.paths import ROOT


@dataclass
class Outcome:
    """What became of a task. status: finished, exists, dirty (finished, but not to be committed) or failed."""

    task: Task
    status: str
    note: str = ""
    result: Result = field(default_factory=dict)
    seconds: float = 0.0


def is_committed(task: Task, root: Path = ROOT) -> bool:
    """Whether the committed result is the one that this task would give."""
    config = task.config()
    facts = {"algorithm": task.algorithm, "split": task.split, "preset": task.preset, "seed": task.seed}
    path = result_path(facts, root)
    if not path.exists():
        return False
    found = json.loads(path.read_text())
    same = found.get("config_hash") == config.hash() and found.get("bench_version") == BENCH_VERSION
    return bool(same and found["status"] == "finished")


def run_all(tasks: Sequence[Task], jobs: int) -> list[Outcome]:
    """Run the tasks, `jobs` at a time. Each outcome is printed and stored as soon as it is known."""
    outcomes = []
    with ThreadPoolExecutor(max_workers=jobs) as threads:
        pending = [threads.submit(run_one, task, serial=jobs > 1) for task in tasks]
        try:
            for number, future in enumerate(as_completed(pending), start=1):
                outcome = store(future.result())
                outcomes.append(outcome)
                text = f"[{number}/{len(tasks)}] {outcome.task.name}: {outcome.status} {outcome.note}"
                print(text.rstrip(), flush=True)
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def run_one(task: Task, serial: bool) -> Outcome:
    """One experiment in a process of its own. serial: without Ray, since several experiments fill the cores alone."""
    command = [sys.executable, "-m", "benchmark.cli", "bench", "--algo", task.algorithm, "--split", task.split]
    command += ["--preset", task.preset, "--seed", str(task.seed), "--json"]
    command += ["--actors", "0"] if serial else []
    command += ["--set", *task.overrides] if task.overrides else []
    started = time.time()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.time() - started
    if done.returncode == 0:
        return Outcome(task, "finished", result=json.loads(done.stdout), seconds=seconds)
    reason = first_line(done.stderr, last=True) or f"exit code {done.returncode}"
    return Outcome(task, "failed", reason, _failed_result(task, started), seconds)


def _failed_result(task: Task, since: float) -> Result:
    """The result.json that a failed run wrote, if it came that far."""
    for path in sorted(RUNS.glob(f"*-{task.algorithm}-*/result.json"), key=os.path.getmtime, reverse=True):
        found: Result = json.loads(path.read_text())
        same = (found["algorithm"], found["split"], found["seed"]) == (task.algorithm, task.split, task.seed)
        if same and path.stat().st_mtime >= since:
            return found
    return {}


def store(outcome: Outcome, root: Path = ROOT) -> Outcome:
    """Copy a result of a clean tree to `leaderboards/results/`; a failed one never replaces a finished one."""
    result = outcome.result
    if not result:
        return outcome
    if result["provenance"]["dirty"]:
        if outcome.status == "finished":
            outcome.status, outcome.note = "dirty", f"uncommitted changes: stays in runs/{result['run_id']}"
        return outcome
    path = result_path(result, root)
    if outcome.status == "finished" or not path.exists():
        write_atomic(path, committed_text(result).encode())
    return outcome
