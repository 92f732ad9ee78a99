"""Scale and memory: large cohorts, private states on disk, 200 rounds, and a round's seconds against the ideal.

    python -m benchmark.perf.scale --json scale.json --quick

Every measurement is a process of its own (`benchmark/perf/federated.py`), one after the other. A row has the
machine's load before it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.perf.federated import Case
from fedmrg_core.files import write_atomic

ARBITRARY = "phantom/arbitrary"
PARTS: dict[str, tuple[Case, ...]] = {
    "cohorts": (
        Case("noop", clients=1000, participation=0.1, rounds=6),
        Case("fedmrg", ARBITRARY, clients=1000, studies=3, participation=0.1, rounds=4),
        *(Case("fedmrg", ARBITRARY, clients=clients) for clients in (50, 100, 200)),
    ),
    "states": (
        Case("fedmrg", ARBITRARY, clients=200, bound_mb=1),
        *(Case("noop", clients=clients, rounds=3, private_mb=2, bound_mb=32) for clients in (50, 100, 200)),
        Case("noop", clients=200, rounds=3, private_mb=2),
    ),
    "growth": (
        Case("noop", clients=20, rounds=200, at=(20, 100, 200)),
        Case("fedmrg", "phantom/ci", toy=True, rounds=200, at=(20, 100, 200)),
    ),
    "base": tuple(
        Case("fedlora", "phantom/ci", large=True, own=own, actors=actors, rounds=2, at=(2,))
        for actors in (2, 4)
        for own in (True, False)
    ),
    "ideal": (Case("fedmrg", rounds=4), Case("fedlora", rounds=4)),
}


def quick(case: Case) -> Case:
    """A smaller case of the same kind."""
    at = (5, 15, 30) if len(case.at) > 1 else case.at
    return replace(case, clients=case.clients // 10, rounds=max(at, default=2), at=at)


def measure(case: Case) -> dict[str, Any]:
    """One row. Raises RuntimeError with the end of its stderr if the process fails."""
    options = []
    for name, value in asdict(case).items():
        flag = f"--{name.replace('_', '-')}"
        given = [] if isinstance(value, bool) else [*map(str, value)] if isinstance(value, tuple) else [str(value)]
        options += [flag, *given] if value else []
    settings = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "benchmark.perf.federated", *options]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=3600)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"{case}: exit {done.returncode}\n{done.stderr[-2000:]}")
    row: dict[str, Any] = json.loads(lines[-1])
    return row


def quiet(load: float, wait_s: float) -> float:
    """Wait until the machine's load is at most `load`, for at most `wait_s` seconds; returns the load."""
    ends = time.monotonic() + wait_s
    while os.getloadavg()[0] > load and time.monotonic() < ends:
        time.sleep(5)
    return round(os.getloadavg()[0], 2)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def _name(row: dict[str, Any]) -> str:
    return f"{row['algo']}, toy model" if row["toy"] else str(row["algo"])


def cohorts(rows: list[dict[str, Any]]) -> str:
    head = ["algorithm", "clients", "cohort", "s per round", "ms per client-round", "driver peak, MB", "load before"]
    cells = []
    for row in rows:
        asked = round(row["clients"] * row["participation"])
        figures = [f"{row['round_s']:.2f}", f"{1000 * row['round_s'] / asked:.1f}", f"{row['driver_peak_mb']:.0f}"]
        cells.append([_name(row), row["clients"], asked, *figures, row["load"]])
    return _table(head, cells)


def states(rows: list[dict[str, Any]]) -> str:
    head = ["algorithm", "clients", "bound, MB", "in memory, MB", "file, MB", "s per round", "driver peak, MB"]
    cells = [
        [_name(row), row["clients"], f"{row['bound_mb']:g}", f"{row['state_mb']:.1f}", f"{row['spilled_mb']:.1f}",
         f"{row['round_s']:.2f}", f"{row['driver_peak_mb']:.0f}"]
        for row in rows
    ]  # fmt: skip
    return _table(head, cells)


def growth(rows: list[dict[str, Any]]) -> str:
    head = ["algorithm", "after round", "driver, MB (its own)", "actors, MB (their own)"]
    cells = []
    for row in rows:
        for number, memory in row["memory"].items():
            actors = ", ".join(f"{actor['all']:.0f} ({actor['own']:.0f})" for actor in memory["actors"])
            driver = memory["driver"]
            cells.append([_name(row), number, f"{driver['all']:.0f} ({driver['own']:.0f})", actors])
    return _table(head, cells)


def base(rows: list[dict[str, Any]]) -> str:
    head = ["actors", "frozen parameters", "all actors, MB", "each, MB", "driver, MB", "s per round"]
    cells = []
    for row in rows:
        (memory,) = row["memory"].values()
        each = [actor["divided"] for actor in memory["actors"]]
        said = ["own copies" if row["own"] else "shared", f"{sum(each):.0f}", f"{sum(each) / len(each):.0f}"]
        cells.append([row["actors"], *said, f"{memory['driver']['divided']:.0f}", f"{row['round_s']:.2f}"])
    return _table(head, cells)


def ideal(rows: list[dict[str, Any]]) -> str:
    head = ["algorithm", "actors", "s per round", "ideal", "ratio", "of it unequal clients", "load before"]
    cells = []
    for row in rows:
        ratio, bound = row["ratio"], median(row["list_ratio"])
        said = f"{median(ratio):.3f} ({min(ratio):.3f} to {max(ratio):.3f})"
        figures = [f"{row['round_s']:.2f}", f"{row['round_ideal_s']:.2f}", said, f"{bound:.3f}"]
        cells.append([_name(row), row["actors"], *figures, row["load"]])
    return _table(head, cells)


TABLES: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "cohorts": cohorts, "states": states, "growth": growth, "base": base, "ideal": ideal,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="output file for the rows")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the clients, fewer rounds")
    parser.add_argument("--wait-s", type=float, default=120.0, help="longest wait for a load of 0.5 before each")
    given = parser.parse_args()
    chosen = given.parts.split(",")
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        parser.error(f"no part '{unknown[0]}': {', '.join(PARTS)}")
    rows: list[dict[str, Any]] = []
    failed = False
    for part, case in [(name, case) for name in chosen for case in PARTS[name]]:
        load = quiet(0.5, given.wait_s)
        try:
            rows.append({"part": part, **measure(quick(case) if given.quick else case), "load": load})
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed = True
            print(error, file=sys.stderr)
            continue
        write_atomic(given.json, json.dumps(rows, indent=1).encode())
        print(json.dumps(rows[-1]), file=sys.stderr)
    for part in chosen:
        print(f"\n{TABLES[part]([row for row in rows if row['part'] == part])}")
    if failed:
        raise SystemExit("some measurements failed: their messages are above")


if __name__ == "__main__":
    main()
