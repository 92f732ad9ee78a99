"""`fedmrg tune ALGO`: choose an algorithm's settings on validation, with the same budget as every other.

    fedmrg tune fedprox --list     # its trials, and the scores of those that were run
    fedmrg tune fedprox            # run the missing ones, and store the choice
    fedmrg bench --algo fedprox --tuned
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace

from benchmark.run import settings
from benchmark.suites.tuning import Search, Trial, best, scores_of, store, trials
from fedmrg_core.errors import Interrupted, in_range


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg tune`."""
    cpus = min(4, os.cpu_count() or 1)
    parser.add_argument("algorithm", metavar="ALGO", help=f"one of: {', '.join(settings.algorithm_names())}")
    parser.add_argument("--jobs", type=int, default=cpus, metavar="N", help=f"trials side by side (default: {cpus})")
    parser.add_argument("--list", action="store_true", help="only list the trials")


def main(args: argparse.Namespace) -> int:
    """Run what is missing; 1 if a trial failed."""
    in_range("--jobs", args.jobs, 1, 256)
    search = Search.load()
    found = trials(search, args.algorithm)
    if not args.list:
        found = _run(search, args.algorithm, found, args.jobs)
    print(_table(search, found))
    missing = sum(trial.scores is None for trial in found)
    if not missing:
        print(f"chosen: {best(search, found).text}")
    return int(bool(missing) and not args.list)


def _run(search: Search, algorithm: str, found: list[Trial], jobs: int) -> list[Trial]:
    """The trials with all scores that could be had; each is stored as soon as it is known."""
    from benchmark.suites.execute import Outcome, run_each

    todo = {trial.task: at for at, trial in enumerate(found) if trial.scores is None}

    def keep(outcome: Outcome) -> str:
        at = todo[outcome.task]
        if outcome.status == "finished":
            found[at] = replace(found[at], scores=scores_of(search, outcome.result))
        store(search, algorithm, found)
        return found[at].text

    try:
        run_each(list(todo), jobs, keep)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; `fedmrg tune {algorithm}` goes on with the missing trials") from None
    if not todo:
        store(search, algorithm, found)
    return found


def _table(search: Search, found: Sequence[Trial]) -> str:
    width = max(len(trial.text) for trial in found) + 2
    lines = [f"{'trial':<{width}}" + "".join(f"{key:>16}" for key in search.criteria)]
    for trial in found:
        scores = trial.scores or {}
        cells = [f"{scores[key]:.4f}" if key in scores else "not run" for key in search.criteria]
        lines.append(f"{trial.text:<{width}}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)
