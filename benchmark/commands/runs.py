"""`fedmrg runs`: the runs in `runs/`, the newest first."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmark.run.options import RUNS
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.runfolder import CONFIG, RunFolder, read_json


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg runs`."""
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs (default: runs/)")


def main(args: argparse.Namespace) -> int:
    """Print one line per run: when it began, its status, algorithm, split, seed and id."""
    rows = sorted(((_begun(path), path.parent) for path in args.runs.glob(f"*/{CONFIG}")), reverse=True)
    if not rows:
        print(f"no runs in {args.runs}; `fedmrg bench` makes one")
        return 0
    described = [(when, *_facts(folder), folder.name) for when, folder in rows]
    head = ("began", "status", "algorithm", "split", "seed", "id")
    widths = [max(len(row[column]) for row in [head, *described]) + 2 for column in range(len(head))]
    for row in [head, *described]:
        print("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _begun(config: Path) -> str:
    """Local time at which a run began, from its id, else at which its settings were written."""
    try:
        at = time.strptime("-".join(config.parent.name.split("-")[:2]), "%Y%m%d-%H%M%S")
    except ValueError:
        at = time.localtime(config.stat().st_mtime)
    return time.strftime("%Y-%m-%d %H:%M", at)


def _facts(folder: Path) -> tuple[str, str, str, str]:
    """Status, algorithm, split and seed; "damaged" where its files cannot be read."""
    try:
        stored = read_json(folder / CONFIG)
        result = RunFolder(folder).result()
        run, status = stored["run"], str(result["status"]) if result else "unfinished"
        return status, one_line(str(stored["name"])), one_line(str(run["split"])), str(run["seed"])
    except (DataError, LookupError, TypeError):
        return "damaged", "", "", ""
