"""`fedmrg score --run RUN_ID [--update]`: a run's saved generations, scored by the code as it is now.

Keys and values are those that the run would get today. --update writes them into the run's result.json and
per_study.parquet, and into its committed result. An entry in `rescored` says when, by which code, and which version of
a metric replaced which.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.scoring.generations import radeval_metrics, score_generations
from benchmark.scoring.outputs import save_per_study, write_outputs
from benchmark.scoring.report_table import read_stored
from fedmrg_core.errors import ConfigError, DataError, FedMRGError
from fedmrg_core.files import write_atomic
from fedmrg_core.metrics.catalogue import find
from fedmrg_core.metrics.scorecard import COLUMNS
from fedmrg_core.runfolder import GENERATIONS, PER_STUDY, RESULT, RunFolder, run_folder

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.run.settings import Config
    from fedmrg_core.data.cache.federation import Federation

Scores = Mapping[str, Mapping[str, Any]]
CLOSE = 1e-9
"""Scores that differ by less count as equal: another machine may add in another order."""


def main(args: argparse.Namespace) -> int:
    """Score a run again and say what moved; with --update, store it."""
    from benchmark.run.score_table import score_table

    changes = _changes(args)
    result, generations = stored(folder := run_folder(args.root / "runs", args.run))
    config, federation = prepared(result, args.root / ".cache")
    card = score_generations(config, federation, generations, extra=radeval_metrics(args.radeval), **changes)
    scores = {key: asdict(score) for key, score in card.scores.items()}
    again = {**result, "scores": scores, "missing_metrics": card.missing}
    write_outputs(args, {"run_id": result["run_id"], "scores": scores, "missing": card.missing}, card.per_study)
    if args.update:
        _refuse_losses(result["scores"], scores, card.per_study.attrs["metrics"])
        save_per_study(card.per_study, folder / PER_STUDY)
        done = update(again, result["scores"], folder, args.root)
    print(score_table(again))
    print()
    print("\n".join(moved(result["scores"], scores) + (done if args.update else [])))
    return 0


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    """The options that depart from the run's config. Scores made with them cannot be stored as the run's result."""
    given = {"labeler": args.labeler, "weights": args.weights, "resamples": args.resamples, "seed": args.seed}
    changes = {name: value for name, value in given.items() if value not in (None, "")}
    if args.train:
        raise ConfigError("--train is for a file; a run has its own training reports")
    if args.update and (changes or args.radeval):
        names = ", ".join(f"--{name}" for name in [*changes, *(["radeval"] if args.radeval else [])])
        raise ConfigError(f"--update scores by the run's config; leave out {names}")
    return changes


def stored(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """A finished run's result and generations. Raises DataError where a file is damaged."""
    result = RunFolder(folder).finished_result()
    _check(result, folder)
    path = folder / GENERATIONS
    if not path.exists():
        raise DataError("does not exist any more: the run's reports are lost", str(path))
    generations = read_stored(path, COLUMNS)
    if not any(generations["reference"]):
        raise DataError("has no text (`private=true`, or a credentialed source without `allow_text=true`)", str(path))
    return result, generations


def _check(result: Mapping[str, Any], folder: Path) -> None:
    """Raises DataError where a result lacks what rescoring needs, or belongs to another run."""
    scores = result.get("scores")
    if not isinstance(scores, dict) or not all(_is_score(score) for score in scores.values()):
        raise DataError("is damaged: its scores are no numbers with a version", str(folder / RESULT))
    if not isinstance(result.get("config"), dict) or not isinstance(result.get("provenance"), dict):
        raise DataError("is damaged: it lacks config or provenance", str(folder / RESULT))
    if result.get("run_id") != folder.name:
        raise DataError("is damaged: it belongs to another run", str(folder / RESULT))


def _is_score(score: Any) -> bool:
    return isinstance(score, dict) and isinstance(score.get("value"), int | float) and "version" in score


def prepared(result: Mapping[str, Any], cache: Path) -> tuple[Config, Federation]:
    """The run's config and federation. Raises DataError where the data is not what the run trained on."""
    from benchmark.run import settings
    from benchmark.run.stages import load_data

    try:
        config = settings.from_dict(result["config"])
        federation = load_data(config, cache)
    except (KeyError, TypeError) as error:
        raise FedMRGError(f"run {result['run_id']} has a config that this version cannot read: {error}") from error
    if federation.data_sha256 != result["provenance"].get("data_sha256"):
        raise DataError(f"the data of {config.run.split} is not what run {result['run_id']} had: its hash differs")
    return config, federation


def moved(before: Scores, after: Scores) -> list[str]:
    """Lines that say what changed between two sets of scores: how many, which versions, and the largest change."""
    both = [key for key in before if key in after]
    far = {key: abs(after[key]["value"] - before[key]["value"]) for key in both}
    values = [key for key in both if far[key] > CLOSE]
    renewed = sum(after[key]["version"] != before[key]["version"] for key in both)
    lines = [f"{len(both)} scores: {len(values)} with another value, {renewed} with another version than the run's"]
    lines += [f"  {old} -> {new}" for old, new in versions(before, after).items()]
    if values:
        key = max(values, key=lambda name: far[name])
        lines.append(f"  largest change: {key} {before[key]['value']:.4f} -> {after[key]['value']:.4f}")
    for what, keys in (("new", after.keys() - before.keys()), ("gone", before.keys() - after.keys())):
        lines += [f"  {len(keys)} {what}, such as {min(keys)}"] if keys else []
    return lines


def versions(before: Scores, after: Scores) -> dict[str, str]:
    """Versions that were replaced: old -> new."""
    pairs = {(before[key]["version"], after[key]["version"]) for key in before if key in after}
    return {old: new for old, new in sorted(pairs) if old != new}


def _refuse_losses(before: Scores, after: Scores, measured: Mapping[str, Any]) -> None:
    """Refuse to lose a metric that is not `measured` here. A measured one without its score is undefined now, such as
    the F1 of a condition that no text names any more."""
    metrics = {key: find(key) for key in sorted(before.keys() - after.keys())}
    gone = [key for key, metric in metrics.items() if metric.key.removeprefix(metric.prefix) not in measured]
    if gone:
        raise FedMRGError(f"not updated: {len(gone)} scores of the run cannot be computed here, such as {gone[0]}")


def update(result: dict[str, Any], before: Scores, folder: Path, root: Path) -> list[str]:
    """Store the new scores in the run's folder, and in its committed result if the tree is clean; says what it did."""
    from benchmark.board.results import committed_text, find, read
    from benchmark.board.study_values import commit_values
    from benchmark.run import provenance

    code = provenance.collect(root, "cpu")
    facts = {name: code[name] for name in ("git_sha", "dirty")}
    note = {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **facts, "versions": versions(before, result["scores"])}
    result["rescored"] = [*result.get("rescored", []), note]
    RunFolder(folder).write_result(result)
    done = [f"updated: runs/{folder.name}/result.json (`fedmrg sync {folder.name}` brings it into MLflow)"]
    path = find(result["run_id"], root)
    if path is None:
        return done
    if facts["dirty"]:
        return [*done, "not updated: the committed result, since the tree has uncommitted changes"]
    overrides = {key: value for key, value in read(path).items() if key == "overrides"}
    whole = {**result, **overrides}
    write_atomic(path, committed_text(whole).encode())
    commit_values(whole, folder, root)
    return [*done, f"updated: {path.relative_to(root)} (`fedmrg leaderboard` rebuilds the board)"]
