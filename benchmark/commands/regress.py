"""`fedmrg regress`: has a change moved a number? Runs suite `ci` and compares it with `leaderboards/expected/ci.json`.

`--update` renews the expectations, from a clean tree only.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmark.board.results import Result
from benchmark.run.options import Options
from benchmark.suites import plan
from benchmark.suites.regression import SUITE, compare, expectations, read_expectations, report
from fedmrg_core.errors import FedMRGError
from fedmrg_core.files import check_output, output
from fedmrg_core.paths import ROOT

EXPECTED = ROOT / "leaderboards" / "expected" / "ci.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg regress`."""
    parser.add_argument("--update", action="store_true", help="renew the expectations (refused on a dirty tree)")
    parser.add_argument("--expected", type=Path, default=EXPECTED, help="(default: leaderboards/expected/ci.json)")


def main(args: argparse.Namespace) -> int:
    """Run the CI suite, then compare it or renew the expectations; 1 if a number left its tolerance."""
    if args.update:
        refuse_dirty()
        check_output(args.expected)
    elif not args.expected.exists():
        raise FedMRGError(f"{args.expected} does not exist; `fedmrg regress --update` makes it")
    expected = {} if args.update else read_expectations(args.expected)
    allowed = plan.tolerances(SUITE)
    results = run_suite()
    if args.update:
        with output(args.expected) as stream:
            stream.write(json.dumps(expectations(results), indent=1) + "\n")
        print(f"renewed {args.expected.name}: {len(results)} runs")
        return 0
    moves = compare(expected, results, allowed)
    print(report(moves, expected, results))
    return 1 if any(move.too_far for move in moves) else 0


def refuse_dirty() -> None:
    """Expectations belong to a commit: raise FedMRGError if the tree has uncommitted changes."""
    from benchmark.run import provenance

    if provenance.collect(ROOT, "cpu")["dirty"]:
        raise FedMRGError("the tree has uncommitted changes: commit first, then renew the expectations")


def run_suite() -> dict[str, Result]:
    """Every experiment of the suite, one after the other in this process, without Ray and MLflow."""
    from benchmark.run.experiment import run_experiment

    results = {}
    for task in plan.read(SUITE):
        print(f"running {task.name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            results[task.name] = run_experiment(task.config(), Options(quiet=True, track=False, runs=Path(folder)))
    return results
