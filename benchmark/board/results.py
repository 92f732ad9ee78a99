"""Committed results: `leaderboards/results/<split>/<preset>/<algorithm>--s<seed>.json`, one file per run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.board import submission
from benchmark.board.schema import problem
from fedmrg_core.errors import DataError, first_line, one_line
from fedmrg_core.metrics.catalogue import shown
from fedmrg_core.models.config import without_newer
from fedmrg_core.paths import ROOT

RESULTS = Path("leaderboards/results")
TRIVIAL = ("constant", "constant-bleu", "commonest", "random_train", "untrained")
"""Rows that read no film or were never trained: they show what a score is worth."""
BUDGET = ("rounds", "participation", "local_epochs", "local_steps", "batch_size")
"""Settings of [train] that all rows of a board share; learning rates and the like belong to an algorithm."""
LIBRARIES = ("torch", "transformers", "peft", "numpy")
"""Libraries whose versions the rows of a board share."""
LOST = ("drop", "reuse_last")
"""What a fault policy does about a client that failed (`policy` of an entry of `failures`)."""
FLOAT32 = "float32"

Result = dict[str, Any]


def load(root: Path = ROOT) -> list[Result]:
    """Every committed result, ordered by path. Raises DataError, with the file's name, where one is damaged or is not
    stored under its own name."""
    found = []
    for path in sorted((root / RESULTS).glob("**/*--s*.json")):
        result = read(path)
        if path != result_path(result, root):
            right = result_path(result, root).relative_to(root)
            raise DataError(f"is the result of {one_line(str(right))}: move or remove it", file=str(path))
        wrong = submission.problem(result, path.with_suffix(".npz"))
        if wrong:
            raise DataError(f"does not verify: {wrong}", file=str(path))
        found.append(result)
    return found


def read(path: Path) -> Result:
    """One result file. Raises DataError, with the file's name, where it is damaged or holds impossible values."""
    if not path.is_file():
        raise DataError("is not a result: it is no file", file=str(path))
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"is not a result ({one_line(first_line(error))})", file=str(path)) from error
    wrong = problem(result)
    if wrong:
        raise DataError(f"is not a result: {wrong}", file=str(path))
    return dict(result)


def result_path(result: Mapping[str, Any], root: Path = ROOT) -> Path:
    """Where a result is committed. Results of a suite with overrides carry the hash of these in their names, so that
    they never replace those of the preset."""
    variant = f"--{overrides_hash(result)}" if result.get("overrides") else ""
    name = f"{result['algorithm']}{variant}--s{result['seed']}.json"
    return root / RESULTS / str(result["split"]) / str(result["preset"]) / name


def board_id(result: Mapping[str, Any]) -> tuple[str, str, str]:
    """What the results of a board share by name: split, preset and overrides."""
    return str(result["split"]), str(result["preset"]), overrides_hash(result)


def note(result: Mapping[str, Any], root: Path = ROOT) -> str:
    """What must be said of a result's board, such as that its films are stand-ins: the text of note.txt beside the
    results, on one line; "" without one."""
    path = result_path(result, root).with_name("note.txt")
    return " ".join(path.read_text(encoding="utf-8").split()) if path.is_file() else ""


def overrides_hash(result: Mapping[str, Any]) -> str:
    """A short hash of a suite's overrides, in any order; "" without any."""
    overrides = sorted(result.get("overrides", []))
    return digest(overrides)[:8] if overrides else ""


def find(run_id: str, root: Path = ROOT) -> Path | None:
    """The committed file of a run, if there is one."""
    mark = f'"run_id": {json.dumps(run_id)}'
    paths = sorted((root / RESULTS).glob("**/*--s*.json"))
    return next((path for path in paths if mark in path.read_text(encoding="utf-8", errors="replace")), None)


def committed_text(result: Result) -> str:
    """A result as it is committed: one line per score, six decimals, so that a change is easy to review. Of the data's
    folder it has the name alone: where a folder is on somebody's machine is nobody else's business."""
    config = dict(result["config"])
    if config.get("data", {}).get("path"):
        config["data"] = {**config["data"], "path": Path(config["data"]["path"]).name}
    whole = {**{key: value for key, value in result.items() if key not in ("scores", "history")}, "config": config}
    parts = {"history": result["history"]} if result.get("history") else {}
    parts["scores"] = {key: _rounded(score) for key, score in result.get("scores", {}).items()}
    text = json.dumps(whole, indent=1).removesuffix("\n}")
    for name, part in parts.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in part.items()]
        text += f',\n "{name}": {{\n' + ",\n".join(lines) + "\n }"
    return text + "\n}\n"


def _rounded(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in score.items()}


def bench_version(result: Mapping[str, Any]) -> str:
    """The version of the benchmark that made it."""
    return str(result.get("bench_version", "unversioned"))


def config_hash(result: Mapping[str, Any]) -> str:
    """The hash of what decides a result's numbers, except the seed (`Config.hash`)."""
    return str(result.get("config_hash") or digest(result["config"]))


def board_key(result: Mapping[str, Any]) -> str:
    """The hash of what the rows of a board share: hospitals, model, budget, evaluation, precision and what is done
    about failing clients, but neither algorithm nor seed."""
    config = result["config"]
    run = {key: value for key, value in config.get("run", {}).items() if key != "seed"}
    budget = {key: config.get("train", {}).get(key) for key in BUDGET}
    precision = config.get("engine", {}).get("precision", FLOAT32)
    unusual = {} if precision == FLOAT32 else {"precision": precision}
    unusual |= {"faults": config["faults"]} if config.get("faults") else {}
    return digest([run, budget, model_settings(config), config.get("evaluate"), *([unusual] if unusual else [])])


def model_settings(config: Mapping[str, Any]) -> Any:
    """The section [model], without settings that are newer than some results and leave a model as it was."""
    section = config.get("model")
    return without_newer(section) if isinstance(section, dict) else section


def libraries(result: Mapping[str, Any]) -> str:
    """The versions of the libraries that change scores, without their build tags: `torch 2.13.0, ..`."""
    versions = result.get("provenance", {}).get("versions", {})
    return ", ".join(f"{name} {str(versions[name]).partition('+')[0]}" for name in LIBRARIES if name in versions)


def lost_updates(result: Mapping[str, Any]) -> int:
    """How many clients' updates a run did without, or replaced by an older one, because the clients failed."""
    failures = result.get("failures") or []
    return sum(failure.get("policy") in LOST for failure in failures if isinstance(failure, dict))


def cpu_seconds(result: Mapping[str, Any]) -> float | None:
    """CPU seconds of the clients' training; None where none were recorded, or a GPU did the work."""
    facts = result.get("provenance", {})
    seconds = facts.get("client_cpu_seconds")
    return float(seconds) if seconds and str(facts.get("device", "")).startswith("cpu") else None


def draw(result: Mapping[str, Any]) -> str:
    """What a seed drew: the hashes of data, split and base. Seeds that share a draw are no independent repetitions.
    Without hashes, the seed itself."""
    facts = result.get("provenance", {})
    return f"{studies(result)} {facts.get('model_sha256')}" if facts.get("data_sha256") else studies(result)


def studies(result: Mapping[str, Any]) -> str:
    """Which studies it trained on and was scored on: the hashes of data and split. On a real data set all seeds have
    the same ones, whatever their base. Without hashes, the seed itself."""
    facts = result.get("provenance", {})
    if not facts.get("data_sha256"):
        return f"seed {result['seed']}"
    return f"{facts['data_sha256']} {facts.get('split_sha256')}"


def metric_versions(result: Mapping[str, Any]) -> str:
    """The versions of the labeler and the text metrics of a board, such as `rules 2, pycocoevalcap 1.2, r2gen`.
    Registered metrics do not count: older results, which lack them, stay comparable."""
    scores = result.get("scores", {})
    keys = [f"test/global/{metric.key}" for metric in shown("board") if not metric.compute and not metric.prefix]
    return ", ".join(dict.fromkeys(str(scores[key].get("version")) for key in keys if key in scores))


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
