"""Engine overhead side by side: our engine, a plain in-process loop and Flower, on clients that do nothing.

    python -m benchmark.perf.engine --json engine.json --quick

Every measurement is a process of its own; the engines take turns, so that other work on the machine affects them alike.
Flower pins another ray: it gets a virtual environment of its own under .cache/, made on first use.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.bootstrap import ensure_venv
from benchmark.perf.noop import Case, row
from fedmrg_core.files import write_atomic

FLOWER = "flwr[simulation]==1.41.0"
ENGINES = ("ours", "serial", "flwr")
CASES = (
    Case(20, 2, 1), Case(20, 2, 20), Case(4, 2, 1),
    Case(20, 2, 1, sleep_ms=50), Case(20, 8, 1, sleep_ms=50), Case(40, 8, 1, sleep_ms=50),
)  # fmt: skip
QUICK = CASES[:2]


def flower_python(cache: Path) -> Path:
    """The interpreter of Flower's virtual environment, which is made if it is missing."""
    folder = cache / f"venv-{FLOWER.split('==')[1]}"
    python = ensure_venv(folder)
    if not (folder / "complete").exists():
        subprocess.run([str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", FLOWER], check=True)
        (folder / "complete").touch()
    return python


def command(engine: str, case: Case, cache: Path) -> list[str]:
    """The process that measures one engine once."""
    if engine == "flwr":
        given = (case.clients, case.actors, case.width, case.sleep_ms, case.rounds)
        script = Path(__file__).with_name("flower.py")
        return [str(flower_python(cache)), str(script), *map(str, given)]
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(case).items()]
    return [sys.executable, "-m", "benchmark.perf.noop", engine, *options]


def measure(engine: str, case: Case, cache: Path) -> dict[str, Any]:
    """One row. Raises RuntimeError with the end of its stderr if the process fails."""
    settings = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command(engine, case, cache), env={**os.environ, **settings}, capture_output=True, text=True, timeout=900
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise RuntimeError(f"{engine} {case}: exit {done.returncode}\n{done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(lines[-1])
    return row(engine, case, said["seconds"], said["driver_rss_mb"]) if engine == "flwr" else said


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: median over processes, and the range."""
    lines = [
        "| clients | actors | MB | client, ms | engine | ms per client-round | s per round | driver peak, MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in rows:
        key = tuple(one[name] for name in ("clients", "actors", "payload_mb", "sleep_ms", "engine"))
        groups.setdefault(key, []).append(one)
    for key, group in groups.items():
        ms = [one["ms_per_client_round"] for one in group]
        seconds = statistics.median(one["round_s"] for one in group)
        peak = max(one["driver_rss_mb"] for one in group)
        cells = [f"{value:g}" if not isinstance(value, str) else value for value in key]
        figures = [f"{statistics.median(ms):.2f} ({min(ms):.2f} to {max(ms):.2f})", f"{seconds:.3f}", f"{peak:.0f}"]
        lines.append("| " + " | ".join([*cells, *figures]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="output file for the rows")
    parser.add_argument("--engines", default=",".join(ENGINES), help="some of " + ",".join(ENGINES))
    parser.add_argument("--quick", action="store_true", help="20 clients, 1 and 20 MB, 2 processes each")
    parser.add_argument("--cache", type=Path, default=Path(".cache"), help="folder for Flower's virtual environment")
    given = parser.parse_args()
    engines = given.engines.split(",")
    unknown = [name for name in engines if name not in ENGINES]
    if unknown:
        parser.error(f"no engine '{unknown[0]}': {', '.join(ENGINES)}")
    rows: list[dict[str, Any]] = []
    for case in QUICK if given.quick else CASES:
        for run in range(2 if given.quick else 5):
            for engine in engines:
                load = os.getloadavg()[0]
                rows.append({**measure(engine, case, given.cache), "run": run, "load": round(load, 2)})
                write_atomic(given.json, json.dumps(rows, indent=1).encode())
                print(json.dumps(rows[-1]), file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
