"""Runs the tasks of a suite. Each experiment is a process of its own, so that one failure stops nothing else; results
of a clean tree are copied to `leaderboards/results/`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.board.results import Result, bench_version, committed_text, config_hash, read, result_path
from benchmark.board.schema import problem
from benchmark.board.study_values import commit_values
from benchmark.run.interrupt import interruptible
from benchmark.run.options import BENCH_VERSION, RUNS
from benchmark.suites.plan import Task
from benchmark.suites.processes import Processes
from fedmrg_core.errors import DataError, FedMRGError, first_line, one_line
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


def committed_path(task: Task, root: Path = ROOT) -> Path:
    """Where the result of a task is committed."""
    facts = {"algorithm": task.algorithm, "split": task.split, "preset": task.preset, "seed": task.seed}
    return result_path({**facts, "overrides": list(task.overrides)}, root)


def is_committed(task: Task, root: Path = ROOT) -> bool:
    """Whether the committed result is the one that this task would give."""
    found = _committed(task, root)
    same = (config_hash(found), bench_version(found)) == (task.config().hash(), BENCH_VERSION) if found else False
    return same and found["status"] == "finished"


def refuse_to_replace(tasks: Sequence[Task], root: Path = ROOT) -> None:
    """Raise FedMRGError, before anything runs, if a result would replace a finished one of this bench_version that
    has other settings."""
    for task in tasks:
        found = _committed(task, root)
        if found and found["status"] == "finished" and bench_version(found) == BENCH_VERSION:
            old, new = config_hash(found), task.config().hash()
            if old != new:
                path = committed_path(task, root).relative_to(root)
                raise FedMRGError(
                    f"{path} holds a result of other settings (config hash {old}, now {new}): give the suite a preset "
                    "or overrides of its own, or replace such results with --again"
                )


def _committed(task: Task, root: Path) -> Result:
    path = committed_path(task, root)
    return read(path) if path.exists() else {}


def run_all(tasks: Sequence[Task], jobs: int) -> list[Outcome]:
    """Run the tasks, `jobs` at a time. Each outcome is printed and stored as soon as it is known."""
    outcomes = []

    def keep(outcome: Outcome) -> str:
        outcomes.append(store(outcome))
        return outcome.task.name

    run_each(tasks, jobs, keep)
    return outcomes


def run_each(tasks: Sequence[Task], jobs: int, keep: Callable[[Outcome], str]) -> None:
    """Run the tasks, `jobs` at a time. keep: called with each outcome as soon as it is known; returns what the printed
    line calls it. Ctrl-C, SIGTERM and SIGHUP end every experiment that runs, with all its processes."""
    processes = Processes()
    with interruptible(), ThreadPoolExecutor(max_workers=jobs) as threads:
        try:
            pending = [threads.submit(run_one, task, jobs > 1, processes) for task in tasks]
            for number, future in enumerate(as_completed(pending), start=1):
                outcome = future.result()
                name = keep(outcome)
                print(f"[{number}/{len(tasks)}] {name}: {outcome.status} {outcome.note}".rstrip(), flush=True)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            processes.end()
            raise


def run_one(task: Task, serial: bool, processes: Processes) -> Outcome:
    """One experiment in a process of its own. serial: without Ray, since several experiments fill the cores alone."""
    command = [sys.executable, "-m", "benchmark.cli", "bench", "--algo", task.algorithm, "--split", task.split]
    command += ["--preset", task.preset, "--seed", str(task.seed), "--json"]
    command += ["--actors", "0"] if serial else []
    command += ["--tuned"] if task.tuned else []
    command += ["--set", *task.overrides] if task.overrides else []
    started = time.time()
    done = processes.run(command, ROOT)
    seconds = time.time() - started
    if done.returncode == 0:
        return _finished(task, done, seconds)
    reason = one_line(first_line(done.stderr, last=True)) or f"exit code {done.returncode}"
    return Outcome(task, "failed", reason, _failed_result(task, started), seconds)


def _finished(task: Task, done: subprocess.CompletedProcess[str], seconds: float) -> Outcome:
    try:
        result = json.loads(done.stdout)
        wrong = problem(result)
    except (ValueError, RecursionError) as error:
        wrong = first_line(error)
    if wrong:
        return Outcome(task, "failed", f"printed no result: {one_line(wrong)}", seconds=seconds)
    return Outcome(task, "finished", result=result, seconds=seconds)


def _failed_result(task: Task, since: float) -> Result:
    """The result.json that a failed run wrote, if it came that far."""
    for path in RUNS.glob(f"*-{task.algorithm}-*/result.json"):
        try:
            if path.stat().st_mtime >= since:
                found = read(path)
                if config_hash(found) == task.config().hash() and found["seed"] == task.seed:
                    return found
        except (DataError, FileNotFoundError):
            continue
    return {}


def store(outcome: Outcome, root: Path = ROOT, runs: Path = RUNS) -> Outcome:
    """Copy a result of a clean tree to `leaderboards/results/`; a failed one never replaces a finished one."""
    result = outcome.result
    if not result:
        return outcome
    if result.get("provenance", {}).get("dirty", True):
        if outcome.status == "finished":
            outcome.status, outcome.note = "dirty", f"uncommitted changes: stays in runs/{result.get('run_id')}"
        return outcome
    path = committed_path(outcome.task, root)
    if outcome.status == "finished" or not path.exists():
        overrides = {"overrides": list(outcome.task.overrides)} if outcome.task.overrides else {}
        whole = {**result, **overrides}
        write_atomic(path, committed_text(whole).encode())
        commit_values(whole, runs / str(result.get("run_id")), root)
    return outcome
