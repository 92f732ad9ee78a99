"""Committed results (`leaderboards/results/<split>/<preset>/<algorithm>--s<seed>.json`) as the rows of boards.

A board ranks only what is comparable: one `bench_version`, one setting (the configuration less what belongs to the
algorithm and the seed), one version of each metric, the same data. Seeds of one algorithm become one row: mean and
t-interval.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmrg_core.errors import DataError
from fedmrg_core.paths import ROOT

RESULTS = Path("leaderboards/results")
TRIVIAL = ("constant", "commonest", "random_train", "untrained")
Result = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A number with its 95 % interval: over seeds (`seeds` > 1, Student's t) or one seed's bootstrap over patients."""

    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Row:
    """One algorithm on one board; `cells` by score key and by cost name (COSTS), `values` by score key and seed."""

    algorithm: str
    seeds: tuple[int, ...]
    cells: Mapping[str, Cell]
    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    @property
    def trivial(self) -> bool:
        return self.algorithm in TRIVIAL


@dataclass(frozen=True)
class Board:
    """What `split` and `preset` have to show: ranked rows, those of most seeds first, and apart from them what must not
    be ranked with them."""

    split: str
    preset: str
    bench_version: str
    setting: str
    rows: tuple[Row, ...]
    failed: tuple[Result, ...] = ()
    apart: tuple[Result, ...] = field(default=())
    """Finished results of another bench_version, setting, metric version or data."""
    metrics: str = ""
    """Versions of labeler and text metrics (`metric_versions`)."""

    @property
    def complete(self) -> tuple[Row, ...]:
        """The rows of the most seeds: all but ablations, say, that have one."""
        return tuple(row for row in self.rows if len(row.seeds) == len(self.rows[0].seeds))

    @property
    def slug(self) -> str:
        return f"{self.split.replace('/', '-')}--{self.preset}"


COSTS = ("upload_mb_round", "upload_mb", "train_seconds")


def load(root: Path = ROOT) -> list[Result]:
    """Every committed result, in the order of its path."""
    return [_read(path) for path in sorted((root / RESULTS).glob("**/*--s*.json"))]


def _read(path: Path) -> Result:
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
    return root / RESULTS / result["split"] / result["preset"] / name


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def config_hash(result: Mapping[str, Any]) -> str:
    """The hash of what decides a result's numbers, but for the seed (`Config.hash`)."""
    return str(result.get("config_hash") or digest(result["config"]))


BUDGET = ("rounds", "participation", "local_epochs", "local_steps", "batch_size")
"""Settings of [train] that all rows of a board share; learning rates and the like are an algorithm's own."""
JUDGES = ("test/global/ce_f1_micro14", "test/global/bleu4", "test/global/rougeL")
"""Scores whose metric versions the rows of one board share: the labeler's and the text metrics'."""


def board_key(result: Mapping[str, Any]) -> str:
    """The hash of what the rows of one board share: hospitals, model, budget, evaluation; not algorithm or seed."""
    config = result["config"]
    run = {key: value for key, value in config.get("run", {}).items() if key != "seed"}
    budget = {key: config.get("train", {}).get(key) for key in BUDGET}
    return digest([run, budget, config.get("model"), config.get("evaluate")])


def metric_versions(result: Mapping[str, Any]) -> str:
    """The versions of the metrics that rank it, such as `rules 2, pycocoevalcap 1.2, r2gen`."""
    scores = result.get("scores", {})
    return ", ".join(dict.fromkeys(str(scores[key].get("version")) for key in JUDGES if key in scores))


def version(result: Mapping[str, Any]) -> str:
    return str(result.get("bench_version", "unversioned"))


def boards(results: Iterable[Result]) -> list[Board]:
    """One board per split and preset, ordered by name; ranked is the newest bench_version, and of it
    the setting and the metric versions with most results."""
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result["split"], result["preset"]].append(result)
    return [_board(split, preset, group) for (split, preset), group in sorted(groups.items())]


def _board(split: str, preset: str, group: Sequence[Result]) -> Board:
    done = [result for result in group if result["status"] == "finished"]
    failed = tuple(result for result in group if result["status"] != "finished")
    kinds = [(version(result), board_key(result), metric_versions(result)) for result in done]
    counts = Counter(kinds)
    chosen = max(counts, key=lambda key: (len(key[0]), key[0], counts[key], key[1:]), default=("", "", ""))
    inside = _same_data([result for result, kind in zip(done, kinds, strict=True) if kind == chosen])
    apart = tuple(result for result in done if not any(result is member for member in inside))
    rows = [_row(name, results) for name, results in _by_algorithm(inside).items()]
    most = max((len(row.seeds) for row in rows), default=0)
    rows.sort(key=lambda row: (len(row.seeds) < most, *_rank(row)))  # a seed is a draw, and draws differ
    return Board(split, preset, *chosen[:2], tuple(rows), failed, apart, chosen[2])


def _same_data(results: Sequence[Result]) -> list[Result]:
    """Results whose data is that of most results of their seed (a seed is a draw of phantom, so seeds may differ)."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[result["seed"]][_data(result)] += 1
    usual = {seed: max(count, key=lambda key: (count[key], key)) for seed, count in counts.items()}
    return [result for result in results if _data(result) == usual[result["seed"]]]


def _data(result: Result) -> str:
    facts = result.get("provenance", {})
    return f"{facts.get('data_sha256')} {facts.get('split_sha256')}"


def _by_algorithm(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results by row: the algorithm's name, and a part of its hash where one name stands for several configurations."""
    by_name: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        by_name[result["algorithm"]][config_hash(result)].append(result)
    rows = {}
    for name, variants in by_name.items():
        for key, members in variants.items():
            rows[name if len(variants) == 1 else f"{name} ({key[:6]})"] = members
    return rows


def _rank(row: Row) -> tuple[float, str]:
    """Highest first; rows without the score last."""
    best = row.cells.get("test/personal/ce_f1_micro14")
    return (-best.value if best else math.inf, row.algorithm)


def _row(name: str, results: Sequence[Result]) -> Row:
    keys = sorted({key for result in results for key in result.get("scores", {})})
    found = {key: over_seeds([r["scores"][key] for r in results if key in r.get("scores", {})]) for key in keys}
    for cost in COSTS:
        found[cost] = over_seeds([{"value": value} for r in results if (value := _cost(r, cost)) is not None])
    seeds = tuple(sorted(result["seed"] for result in results))
    values: dict[str, dict[int, float]] = {key: {} for key in keys}
    for result in results:
        for key, score in result.get("scores", {}).items():
            if score.get("value") is not None:
                values[key][result["seed"]] = float(score["value"])
    return Row(name, seeds, {key: cell for key, cell in found.items() if cell is not None}, values)


def _cost(result: Result, name: str) -> float | None:
    communication = result.get("communication", {})
    if name == "train_seconds":
        seconds = result.get("provenance", {}).get("seconds", {}).get("train")
        return None if seconds is None else float(seconds)
    total = communication.get("upload_bytes")
    if total is None:
        return None
    rounds = len(communication.get("per_round") or [])
    return total / 1e6 if name == "upload_mb" else total / 1e6 / max(1, rounds)


def over_seeds(scores: Sequence[Mapping[str, Any]]) -> Cell | None:
    """Mean and 95 % t-interval of several seeds; of one seed its own interval; None where no value is there."""
    known = [score for score in scores if score.get("value") is not None]
    values = [float(score["value"]) for score in known]
    if not values:
        return None
    if len(values) == 1:
        low, high = known[0].get("low"), known[0].get("high")
        value = values[0]
        return Cell(value, value if low is None else float(low), value if high is None else float(high), 1)
    from fedmrg_core.metrics.compare import seed_interval

    found = seed_interval(values)
    return Cell(found.mean, found.low, found.high, found.n)
