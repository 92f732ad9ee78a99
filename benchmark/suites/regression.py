"""Has a change moved a number? The numbers of the CI suite, compared with `leaderboards/expected/ci.json`.

On the machine type and library versions of the expectations, `params_sha256` must be equal to the bit and every score
to the eighth decimal; elsewhere every score must stay within its tolerance (`[tolerance]` of
`benchmark/configs/suites/ci.toml`). Bytes are exact everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmark.board.results import Result
from benchmark.run.options import BENCH_VERSION
from fedmrg_core.errors import DataError, first_line, one_line
from fedmrg_core.metrics.catalogue import find

SUITE = "ci"
SAME_BITS = ("python", "torch", "transformers", "peft", "numpy")
"""Packages whose versions decide a run's bits."""
DECIMALS = 8
"""Decimals to which expected scores are rounded."""

NUMBERS = {"params_sha256", "upload_bytes", "download_bytes", "scores"}
"""What an expected run holds."""


@dataclass(frozen=True)
class Move:
    """One number that differs. too_far: outside its tolerance."""

    run: str
    key: str
    expected: Any
    now: Any
    tolerance: float
    too_far: bool


def read_expectations(path: Path) -> dict[str, Any]:
    """The content of an expectations file. Raises DataError, with its name, where it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        runs = found["runs"].values()
        whole = isinstance(found["machine"], dict) and isinstance(found["git_sha"], str)
        whole = whole and all(run.keys() >= NUMBERS and isinstance(run["scores"], dict) for run in runs)
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"holds no expectations ({one_line(first_line(error))})", file=str(path)) from error
    if not whole:
        raise DataError("holds no expectations: machine, git_sha or a run's numbers are missing", file=str(path))
    return dict(found)


def expectations(results: Mapping[str, Result]) -> dict[str, Any]:
    """The content of `ci.json`."""
    first = next(iter(results.values()))
    return {
        "bench_version": BENCH_VERSION,
        "machine": machine(first),
        "git_sha": first["provenance"]["git_sha"],
        "runs": {name: numbers(result) for name, result in results.items()},
    }


def numbers(result: Result) -> dict[str, Any]:
    """The numbers of a run that are compared: hash, bytes, the pooled scores and the worst hospital's CE F1."""
    compared = {key: score for key, score in result["scores"].items() if _is_compared(key, score)}
    scores = {key: round(score["value"], DECIMALS) for key, score in compared.items()}
    sent = {key: result["communication"][key] for key in ("upload_bytes", "download_bytes")}
    return {"params_sha256": result["params_sha256"], **sent, "scores": scores}


def _is_compared(key: str, score: Mapping[str, Any]) -> bool:
    """Whether a score is compared: pooled (a hospital's key has four parts), defined, and the same without Java."""
    metric = find(key)
    derived = bool(metric.prefix) and metric.key != "worst_ce_f1_micro14"
    defined = score["value"] is not None and score["value"] == score["value"]
    return key.count("/") == 2 and defined and not derived and not metric.needs_java


def machine(result: Result) -> dict[str, str]:
    """What must be equal for the bits to be equal."""
    facts = result["provenance"]
    versions = {name: facts["versions"][name] for name in SAME_BITS}
    return {"device": facts["device"], "machine": facts["machine"], **versions}


def tolerance(key: str, table: Mapping[str, float]) -> float:
    """The tolerance of a score key; 0 if no pattern matches."""
    return next((value for pattern, value in table.items() if fnmatchcase(key, pattern)), 0.0)


def compare(expected: Mapping[str, Any], results: Mapping[str, Result], table: Mapping[str, float]) -> list[Move]:
    """Every number that moved, is gone or is new, run by run."""
    moves = []
    for run in sorted(expected["runs"].keys() | results.keys()):
        old = expected["runs"].get(run)
        if old is None or run not in results:
            moves.append(Move(run, "run", "-" if old is None else "expected", "gone" if old else "new", 0.0, True))
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
        before, after = old["scores"].get(key), new["scores"].get(key)
        limit = 1.5 * 10**-DECIMALS if exact else tolerance(key, table)
        if before != after:
            too_far = after is None or (before is not None and not abs(after - before) <= limit)
            moves.append(Move(run, key, before, after, limit, too_far))
    return moves


def report(moves: Sequence[Move], expected: Mapping[str, Any], results: Mapping[str, Result]) -> str:
    """What was promised, and a table of what moved, with a mark at what moved too far."""
    facts = sorted({fact for result in results.values() for fact in _other_facts(result, expected)})
    promise = f"within tolerances ({'; '.join(facts)})" if facts else "bit-exact (same machine type and versions)"
    counts = f"{len(moves)} moved, {sum(move.too_far for move in moves)} too far"
    lines = [f"{len(results)} runs against {one_line(expected['git_sha'][:10])}, {promise}: {counts}"]
    if moves:
        lines.append(f"  {'run':<34}{'number':<34}{'expected':>14}{'now':>14}{'tolerance':>11}")
    for move in moves:
        mark = "!" if move.too_far else " "
        shown = f"{_shown(move.expected):>14}{_shown(move.now):>14}{move.tolerance:>11g}"
        lines.append(f"{mark} {one_line(move.run):<34}{one_line(move.key):<34}{shown}")
    return "\n".join(lines)


def _other_facts(result: Result, expected: Mapping[str, Any]) -> list[str]:
    """What differs between the machine of a run and that of the expectations."""
    now, then = machine(result), expected["machine"]
    return [one_line(f"{key}: {now[key]}, expected {then.get(key)}") for key in now if now[key] != then.get(key)]


def _shown(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, float) else "-" if value is None else one_line(str(value))
