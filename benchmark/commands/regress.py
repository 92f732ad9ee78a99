"""`fedmrg regress`: has a change moved a number? Runs suite `ci` and compares it with `leaderboards/expected/ci.json`.

On the machine type and library versions that the expectations were made with, `params_sha256` must be equal to the
bit; elsewhere every score must stay within its tolerance (`[tolerance]` of `benchmark/configs/suites/ci.toml`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmark.board.results import Result
from benchmark.commands import suite
from benchmark.run.options import BENCH_VERSION, ROOT, Options
from fedmrg_core.errors import FedMRGError
from fedmrg_core.files import write_atomic

SUITE = "ci"
EXPECTED = ROOT / "leaderboards" / "expected" / "ci.json"
SAME_BITS = ("python", "torch", "transformers", "peft", "numpy")
"""Packages whose versions decide a run's bits."""


@dataclass(frozen=True)
class Move:
    """One compared number. `bad`: outside its tolerance."""

    run: str
    key: str
    expected: Any
    now: Any
    tolerance: float
    bad: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg regress`."""
    parser.add_argument("--update", action="store_true", help="renew the expectations (refused on a dirty tree)")
    parser.add_argument("--expected", type=Path, default=EXPECTED, help="(default: leaderboards/expected/ci.json)")


def main(args: argparse.Namespace) -> int:
    """Run the CI suite, then compare it or renew the expectations; 1 where a number left its tolerance."""
    if args.update:
        refuse_dirty()
    elif not args.expected.exists():
        raise FedMRGError(f"{args.expected} is not there; `fedmrg regress --update` makes it")
    results = run_suite()
    if args.update:
        write_atomic(args.expected, (json.dumps(expectations(results), indent=1) + "\n").encode())
        print(f"renewed {args.expected.name}: {len(results)} runs")
        return 0
    expected = json.loads(args.expected.read_text())
    moves = compare(expected, results, tolerances())
    print(report(moves, expected, results))
    return 1 if any(move.bad for move in moves) else 0


def refuse_dirty() -> None:
    """Expectations belong to a commit: refuse to make them from a tree that is none."""
    from benchmark.run import provenance

    if provenance.collect(ROOT, "cpu")["dirty"]:
        raise FedMRGError("the tree has uncommitted changes: commit first, then renew the expectations")


def run_suite() -> dict[str, Result]:
    """Every experiment of the suite, one after the other in this process, without Ray and MLflow."""
    from benchmark.commands.bench import run_experiment

    results = {}
    for task in suite.read(SUITE):
        print(f"running {task.name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            results[task.name] = run_experiment(task.config(), Options(quiet=True, track=False, runs=Path(folder)))
    return results


def expectations(results: Mapping[str, Result]) -> dict[str, Any]:
    """What `ci.json` holds."""
    first = next(iter(results.values()))
    return {
        "bench_version": BENCH_VERSION,
        "machine": machine(first),
        "git_sha": first["provenance"]["git_sha"],
        "runs": {name: numbers(result) for name, result in results.items()},
    }


def numbers(result: Result) -> dict[str, Any]:
    """The numbers of a run that are compared: hash, bytes, the pooled scores and the worst hospital's CE F1."""
    scores = {key: round(score["value"], 8) for key, score in result["scores"].items() if _compared(key, score)}
    sent = {key: result["communication"][key] for key in ("upload_bytes", "download_bytes")}
    return {"params_sha256": result["params_sha256"], **sent, "scores": scores}


def _compared(key: str, score: Mapping[str, Any]) -> bool:
    """Whether a score is compared: pooled (a hospital's key has four parts), defined, and the same without Java."""
    metric = key.rpartition("/")[2]
    derived = metric.startswith(("mean_", "spread_", "worst_")) and metric != "worst_ce_f1_micro14"
    needs_java = "meteor" in metric or metric.endswith("_ptb")
    defined = score["value"] is not None and score["value"] == score["value"]
    return key.count("/") == 2 and defined and not derived and not needs_java


def machine(result: Result) -> dict[str, str]:
    """What must be equal for the bits to be equal."""
    facts = result["provenance"]
    versions = {name: facts["versions"][name] for name in SAME_BITS}
    return {"device": facts["device"], "machine": facts["machine"], **versions}


def tolerances() -> dict[str, float]:
    """Pattern -> absolute tolerance; the first pattern that fits counts."""
    with (suite.SUITES / f"{SUITE}.toml").open("rb") as file:
        return {pattern: float(value) for pattern, value in tomllib.load(file)["tolerance"].items()}


def tolerance(key: str, table: Mapping[str, float]) -> float:
    """The tolerance of a score key; 0 where no pattern fits."""
    return next((value for pattern, value in table.items() if fnmatchcase(key, pattern)), 0.0)


def compare(expected: Mapping[str, Any], results: Mapping[str, Result], table: Mapping[str, float]) -> list[Move]:
    """Every number that moved, is gone or is new, run by run."""
    moves = []
    for run in sorted(expected["runs"].keys() | results.keys()):
        old = expected["runs"].get(run)
        if old is None or run not in results:
            moves.append(Move(run, "run", "-" if old is None else "there", "gone" if old else "new", 0.0, True))
            continue
        exact = machine(results[run]) == expected["machine"]
        moves += _compare_run(run, old, numbers(results[run]), table, exact)
    return moves


def _compare_run(
    run: str, old: Mapping[str, Any], new: Mapping[str, Any], table: Mapping[str, float], exact: bool
) -> list[Move]:
    moves = []
    if old["params_sha256"] != new["params_sha256"]:
        moves.append(Move(run, "params_sha256", old["params_sha256"][:12], new["params_sha256"][:12], 0.0, exact))
    for key in ("upload_bytes", "download_bytes"):
        if old[key] != new[key]:
            moves.append(Move(run, key, old[key], new[key], 0.0, True))
    for key in sorted(old["scores"].keys() | new["scores"].keys()):
        before, after, limit = old["scores"].get(key), new["scores"].get(key), tolerance(key, table)
        if before != after:
            bad = after is None or (before is not None and not abs(after - before) <= limit)
            moves.append(Move(run, key, before, after, limit, bad))
    return moves


def report(moves: list[Move], expected: Mapping[str, Any], results: Mapping[str, Result]) -> str:
    """The table of what moved, bad ones marked, and what was promised."""
    same = all(machine(result) == expected["machine"] for result in results.values())
    promise = "bit-exact (same machine type and versions)" if same else "within tolerances (another machine or version)"
    bad = sum(move.bad for move in moves)
    lines = [f"{len(results)} runs against {expected['git_sha'][:10]}, {promise}: {len(moves)} moved, {bad} too far"]
    if moves:
        lines.append(f"  {'run':<34}{'number':<34}{'expected':>14}{'now':>14}{'tolerance':>11}")
    for move in moves:
        mark = "!" if move.bad else " "
        shown = f"{_shown(move.expected):>14}{_shown(move.now):>14}{move.tolerance:>11g}"
        lines.append(f"{mark} {move.run:<34}{move.key:<34}{shown}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, float) else "-" if value is None else str(value)
