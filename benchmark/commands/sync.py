"""`fedmrg sync RUN_ID`: makes MLflow's copy of a run complete, from the JSON lines in the run's folder."""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.run.headline import of_round
from benchmark.run.mirror import describe, feed
from benchmark.run.options import CACHE, RUNS
from fedmrg_core.errors import DataError, FedMRGError
from fedmrg_core.paths import ROOT
from fedmrg_core.runfolder import CONFIG, RESULT, RunFolder, read_json, run_folder
from fedmrg_core.tracking import Tracker, default_uri

if TYPE_CHECKING:
    from fedmrg_core.data.cache.federation import Federation


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of `fedmrg sync`."""
    parser.add_argument("run_id", nargs="+", help="name of a folder in runs/, or all")
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs (default: runs/)")


def main(args: argparse.Namespace) -> int:
    """Sync the named runs, or `all`."""
    known = sorted(path.parent.name for path in args.runs.glob("*/config.json"))
    for name in known if args.run_id == ["all"] else args.run_id:
        rounds, scores = sync(run_folder(args.runs, name))
        print(f"{name}: {rounds} rounds and {scores} scores are in MLflow")
    return 0


def sync(path: Path) -> tuple[int, int]:
    """Bring one run into MLflow, without logging anything twice. Returns the counts of rounds and scores.

    Raises FedMRGError if MLflow cannot be reached.
    """
    folder = RunFolder(path)
    result = folder.result() or _unfinished(path)
    try:
        description, status = describe(result), str(result["status"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"is damaged: it lacks {error}", str(path / RESULT)) from None
    tracker = Tracker(default_uri(ROOT), patience=600.0, announce=False)
    tracker.start(description, resume=True)
    rows = folder.rounds()
    for row in rows:
        tracker.log_metrics(row["round"], of_round(row))
    feed(tracker, result, folder, cache(lambda: _federation(result)))
    if not tracker.finish(status):
        raise FedMRGError(f"{path.name} is not in MLflow: {tracker.failure}")
    return len(rows), len(result.get("scores", {}))


def _federation(result: dict[str, Any]) -> Federation | None:
    """The run's data, if it is as it was."""
    from benchmark.run import settings

    try:
        config = settings.from_dict(result["config"])
        from benchmark.run.stages import load_data  # torch and Ray, which take seconds

        found = load_data(config, CACHE)
    except (FedMRGError, LookupError, TypeError, OSError):
        return None
    return found if found.data_sha256 == result.get("provenance", {}).get("data_sha256") else None


def _unfinished(path: Path) -> dict[str, Any]:
    """What is known of a run that was killed before it could write its result."""
    stored = read_json(path / CONFIG)
    try:
        facts = {"algorithm": stored["name"], **{key: stored["run"][key] for key in ("split", "preset", "seed")}}
    except (KeyError, TypeError) as error:
        raise DataError(f"is damaged: it lacks {error}", str(path / CONFIG)) from None
    return {"run_id": path.name, **facts, "config": stored, "status": "interrupted"}
