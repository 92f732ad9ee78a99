"""Committed results: `leaderboards/results/<split>/<preset>/<algorithm>--s<seed>.json`, one file per run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmrg_core.errors import DataError
from fedmrg_core.metrics.catalogue import shown
from fedmrg_core.paths import ROOT

RESULTS = Path("leaderboards/results")
TRIVIAL = ("constant", "commonest", "random_train", "untrained")
"""Rows that read no film or were never trained: they show what a score is worth."""
BUDGET = ("rounds", "participation", "local_epochs", "local_steps", "batch_size")
"""Settings of [train] that all rows of a board share; learning rates and the like belong to an algorithm."""

Result = dict[str, Any]


def load(root: Path = ROOT) -> list[Result]:
    """Every committed result, ordered by path. Raises DataError, with the file's name, where one is damaged."""
    return [read(path) for path in sorted((root / RESULTS).glob("**/*--s*.json"))]


def read(path: Path) -> Result:
    """One result file. Raises DataError where it is none."""
    try:
        result: Result = json.loads(path.read_text())
        missing = {"algorithm", "split", "preset", "seed", "status", "config"} - result.keys()
    except (json.JSONDecodeError, AttributeError) as error:
        raise DataError(f"is not a result ({error})", file=str(path)) from error
    if missing:
        raise DataError(f"is not a result: it lacks {', '.join(sorted(missing))}", file=str(path))
    return result


def result_path(result: Mapping[str, Any], root: Path = ROOT) -> Path:
    """Where a result is committed."""
    name = f"{result['algorithm']}--s{result['seed']}.json"
    return root / RESULTS / str(result["split"]) / str(result["preset"]) / name


def committed_text(result: Result) -> str:
    """A result as it is committed: one line per score, six decimals, so that a change is easy to review."""
    head = json.dumps({key: value for key, value in result.items() if key != "scores"}, indent=1)
    scores = [f"  {json.dumps(key)}: {json.dumps(_rounded(score))}" for key, score in result.get("scores", {}).items()]
    return head[: head.rindex("\n}")] + ',\n "scores": {\n' + ",\n".join(scores) + "\n }\n}\n"


def _rounded(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in score.items()}


def bench_version(result: Mapping[str, Any]) -> str:
    """The version of the benchmark that made it."""
    return str(result.get("bench_version", "unversioned"))


def config_hash(result: Mapping[str, Any]) -> str:
    """The hash of what decides a result's numbers, except the seed (`Config.hash`)."""
    return str(result.get("config_hash") or digest(result["config"]))


def board_key(result: Mapping[str, Any]) -> str:
    """The hash of what the rows of a board share: hospitals, model, budget and evaluation, but neither algorithm nor
    seed."""
    config = result["config"]
    run = {key: value for key, value in config.get("run", {}).items() if key != "seed"}
    budget = {key: config.get("train", {}).get(key) for key in BUDGET}
    return digest([run, budget, config.get("model"), config.get("evaluate")])


def metric_versions(result: Mapping[str, Any]) -> str:
    """The versions of the labeler and the text metrics of a board, such as `rules 2, pycocoevalcap 1.2, r2gen`."""
    scores = result.get("scores", {})
    keys = [f"test/global/{metric.key}" for metric in shown("board") if metric.group in ("ce", "nlg")]
    return ", ".join(dict.fromkeys(str(scores[key].get("version")) for key in keys if key in scores))


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
