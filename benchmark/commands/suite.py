"""`fedmrg suite NAME`: every algorithm x split x seed of `benchmark/configs/suites/NAME.toml`.

A result that is committed already (same config hash and bench_version) is not run again. Results of a clean tree are
copied to `leaderboards/results/`; those of a suite with overrides have files and a board of their own.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from benchmark.suites import plan
from benchmark.suites.execute import Outcome, is_committed, refuse_to_replace, run_all
from fedmrg_core.errors import ConfigError, Interrupted
from fedmrg_core.metrics.catalogue import RANKED_BY

MOST_JOBS = 256


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg suite`."""
    parser.add_argument("suite", nargs="?", default="phantom", help=f"one of: {', '.join(plan.suite_names())}")
    cpus = min(4, os.cpu_count() or 1)
    parser.add_argument(
        "--jobs", type=int, default=cpus, metavar="N", help=f"experiments side by side (default: {cpus})"
    )
    parser.add_argument("--again", action="store_true", help="also run what has a committed result, and replace it")
    parser.add_argument("--list", action="store_true", help="only list what would run")


def main(args: argparse.Namespace) -> int:
    """Run a suite; 1 if an experiment failed."""
    if not 1 <= args.jobs <= MOST_JOBS:
        raise ConfigError(f"--jobs = {args.jobs} is out of range; allowed: 1 to {MOST_JOBS}.")
    tasks = plan.read(args.suite)
    todo = [task for task in tasks if args.again or not is_committed(task)]
    known = f"{len(tasks) - len(todo)} with a committed result (--again repeats them)"
    print(f"suite {args.suite}: {len(tasks)} experiments, {known}, {len(todo)} to run")
    if args.list:
        print("\n".join(task.name for task in todo))
        return 0
    if not args.again:
        refuse_to_replace(todo)
    started = set(todo)
    outcomes = [Outcome(task, "exists") for task in tasks if task not in started]
    try:
        outcomes += run_all(todo, args.jobs)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; `fedmrg suite {args.suite}` runs what has no committed result yet") from None
    print(table(outcomes))
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcome of every experiment, with the score that boards are ranked by."""
    lines = [f"{'experiment':<44}{'outcome':<10}{'CE F1 micro (personal)':>24}{'seconds':>9}"]
    for outcome in sorted(outcomes, key=lambda o: o.task.name):
        score = outcome.result.get("scores", {}).get(RANKED_BY, {}).get("value")
        shown = "" if score is None else f"{score:.3f}"
        lines.append(
            f"{outcome.task.name:<44}{outcome.status:<10}{shown:>24}{outcome.seconds:>9.0f}  {outcome.note}".rstrip()
        )
    return "\n".join(lines)
