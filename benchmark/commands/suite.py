"""`fedmrg suite NAME`: every algorithm x split x seed of `benchmark/configs/suites/NAME.toml`.

A result that exists (same config hash and bench_version) is skipped; each experiment is a process of its own, so that
one failure stops nothing else; what finished on a clean tree is copied to `leaderboards/results/`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.board.results import Result, result_path
from benchmark.run import settings
from benchmark.run.options import BENCH_VERSION, ROOT, RUNS
from fedmrg_core.errors import ConfigError, choose
from fedmrg_core.files import write_atomic

SUITES = settings.CONFIGS / "suites"
KEYS = {"algorithms", "splits", "seeds", "preset", "overrides"}


@dataclass(frozen=True)
class Task:
    """One experiment of a suite."""

    algorithm: str
    split: str
    seed: int
    preset: str
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.algorithm} {self.split} s{self.seed}"

    def config(self) -> settings.Config:
        return settings.load(self.algorithm, self.split, self.preset, self.seed, self.overrides)


@dataclass
class Outcome:
    """What became of a task: `how` is finished, exists, dirty (finished, but not to be committed) or failed."""

    task: Task
    how: str
    note: str = ""
    result: Result = field(default_factory=dict)
    seconds: float = 0.0


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg suite`."""
    parser.add_argument("suite", nargs="?", default="phantom", help=f"one of: {', '.join(suite_names())}")
    cpus = min(4, os.cpu_count() or 1)
    parser.add_argument(
        "--jobs", type=int, default=cpus, metavar="N", help=f"experiments side by side (default: {cpus})"
    )
    parser.add_argument("--again", action="store_true", help="run what exists, too")
    parser.add_argument("--list", action="store_true", help="only say what would run")


def suite_names() -> list[str]:
    return sorted(path.stem for path in SUITES.glob("*.toml"))


def main(args: argparse.Namespace) -> int:
    """Run a suite; 1 if an experiment failed."""
    if args.jobs < 1:
        raise ConfigError(f"--jobs = {args.jobs} is out of range; allowed: 1 or more.")
    tasks = read(args.suite)
    todo = [task for task in tasks if args.again or not exists(task)]
    kept = f"{len(tasks) - len(todo)} have their committed result (--again makes it anew)"
    print(f"suite {args.suite}: {len(tasks)} experiments, {kept}, {len(todo)} to run")
    if args.list:
        print("\n".join(task.name for task in todo))
        return 0
    outcomes = [Outcome(task, "exists") for task in tasks if task not in todo]
    outcomes += run_all(todo, args.jobs)
    print(table(outcomes))
    return 1 if any(outcome.how == "failed" for outcome in outcomes) else 0


def read(name: str) -> list[Task]:
    """The tasks of a suite file, checked; seeds of one algorithm stand side by side, since each has its own base."""
    with (SUITES / f"{choose('suite', name, suite_names())}.toml").open("rb") as file:
        content = tomllib.load(file)
    parts = [{key: value for key, value in content.items() if key in KEYS}]
    parts += [{**parts[0], **part} for part in content.get("also", [])]
    for key in {key for part in (content, *content.get("also", [])) for key in part} - {"also", "tolerance"}:
        choose(f"key of suite {name}", key, KEYS)
    tasks = [
        Task(algorithm, split, seed, part["preset"], tuple(part.get("overrides", ())))
        for part in parts
        for split in part["splits"]
        for algorithm in part["algorithms"]
        for seed in part["seeds"]
    ]
    for task in tasks:
        task.config()
    return list(dict.fromkeys(tasks))


def exists(task: Task, root: Path = ROOT) -> bool:
    """Whether the committed result is the one that this task would give."""
    config = task.config()
    path = result_path(
        {"algorithm": task.algorithm, "split": task.split, "preset": task.preset, "seed": task.seed}, root
    )
    if not path.exists():
        return False
    found = json.loads(path.read_text())
    same = found.get("config_hash") == config.hash() and found.get("bench_version") == BENCH_VERSION
    return bool(same and found["status"] == "finished")


def run_all(tasks: Sequence[Task], jobs: int) -> list[Outcome]:
    """Run tasks, `jobs` at a time, each outcome reported and kept as soon as it is there."""
    outcomes = []
    with ThreadPoolExecutor(max_workers=jobs) as threads:
        pending = [threads.submit(run_one, task, serial=jobs > 1) for task in tasks]
        try:
            for number, future in enumerate(as_completed(pending), start=1):
                outcome = keep(future.result())
                outcomes.append(outcome)
                print(f"[{number}/{len(tasks)}] {outcome.task.name}: {outcome.how} {outcome.note}".rstrip(), flush=True)
        except KeyboardInterrupt:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def run_one(task: Task, serial: bool) -> Outcome:
    """One experiment in a process of its own. Several at a time do without Ray: they fill the cores by themselves."""
    command = [sys.executable, "-m", "benchmark.cli", "bench", "--algo", task.algorithm, "--split", task.split]
    command += ["--preset", task.preset, "--seed", str(task.seed), "--json"]
    command += ["--actors", "0"] if serial else []
    command += ["--set", *task.overrides] if task.overrides else []
    started = time.time()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seconds = time.time() - started
    if done.returncode == 0:
        return Outcome(task, "finished", result=json.loads(done.stdout), seconds=seconds)
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return Outcome(task, "failed", last, _failed_result(task, started), seconds)


def _failed_result(task: Task, since: float) -> Result:
    """The result.json that a failed run left, if it came that far."""
    for path in sorted(RUNS.glob(f"*-{task.algorithm}-*/result.json"), key=os.path.getmtime, reverse=True):
        found: Result = json.loads(path.read_text())
        same = (found["algorithm"], found["split"], found["seed"]) == (task.algorithm, task.split, task.seed)
        if same and path.stat().st_mtime >= since:
            return found
    return {}


def keep(outcome: Outcome, root: Path = ROOT) -> Outcome:
    """Copy a result of a clean tree to `leaderboards/results/`; a failed one only where no finished one stands."""
    result = outcome.result
    if not result:
        return outcome
    if result["provenance"]["dirty"]:
        if outcome.how == "finished":
            outcome.how, outcome.note = "dirty", f"uncommitted changes: stays in runs/{result['run_id']}"
        return outcome
    path = result_path(result, root)
    if outcome.how == "finished" or not path.exists():
        write_atomic(path, committed_text(result).encode())
    return outcome


def committed_text(result: Result) -> str:
    """A result as it is committed: one line a score, six digits, so that a change reads well and the file is small."""
    head = json.dumps({key: value for key, value in result.items() if key != "scores"}, indent=1)
    scores = [f"  {json.dumps(key)}: {json.dumps(_rounded(score))}" for key, score in result.get("scores", {}).items()]
    return head[: head.rindex("\n}")] + ',\n "scores": {\n' + ",\n".join(scores) + "\n }\n}\n"


def _rounded(score: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in score.items()}


def table(outcomes: Sequence[Outcome]) -> str:
    """What became of every experiment, with the score that people ask for first."""
    lines = [f"{'experiment':<44}{'outcome':<10}{'CE F1 micro (personal)':>24}{'seconds':>9}"]
    for outcome in sorted(outcomes, key=lambda o: o.task.name):
        score = outcome.result.get("scores", {}).get("test/personal/ce_f1_micro14", {}).get("value")
        shown = "" if score is None else f"{score:.3f}"
        lines.append(
            f"{outcome.task.name:<44}{outcome.how:<10}{shown:>24}{outcome.seconds:>9.0f}  {outcome.note}".rstrip()
        )
    return "\n".join(lines)
