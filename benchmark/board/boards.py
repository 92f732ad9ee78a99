"""Committed results grouped into boards: one per split and preset, with one row per algorithm.

A board ranks only comparable results: one `bench_version`, one board key (hospitals, model, budget, evaluation), one
version of each metric, the same data. The seeds of an algorithm become one row: mean and 95 % interval.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmark.board.results import TRIVIAL, Result, bench_version, board_key, config_hash, metric_versions
from fedmrg_core.metrics.catalogue import RANKED_BY

COSTS = ("upload_mb_round", "upload_mb", "train_seconds")


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval: Student's t over seeds, or one seed's bootstrap over patients."""

    value: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Row:
    """One algorithm on one board; `estimates` by score key and by cost (COSTS), `values` by score key and seed."""

    algorithm: str
    seeds: tuple[int, ...]
    estimates: Mapping[str, Estimate]
    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    @property
    def trivial(self) -> bool:
        """Whether it reads no film or was never trained."""
        return self.algorithm in TRIVIAL


class Comparable(NamedTuple):
    """What the rows of a board have in common."""

    bench_version: str
    board_key: str
    metrics: str


@dataclass(frozen=True)
class Board:
    """Everything committed for a split and a preset."""

    split: str
    preset: str
    common: Comparable
    rows: tuple[Row, ...]
    """Ranked; rows of fewer seeds than the others come last."""
    failed: tuple[Result, ...] = ()
    incomparable: tuple[Result, ...] = ()
    """Finished results of another bench_version, board key, metric version or data."""

    @property
    def complete(self) -> tuple[Row, ...]:
        """The rows with the most seeds."""
        return tuple(row for row in self.rows if len(row.seeds) == len(self.rows[0].seeds))

    @property
    def slug(self) -> str:
        """The name of its pages, without the extension."""
        return f"{self.split.replace('/', '-')}--{self.preset}"


def boards(results: Iterable[Result]) -> list[Board]:
    """One board per split and preset, ordered by name. The newest bench_version is ranked, and of that the board key
    and the metric versions that most results have."""
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result["split"], result["preset"]].append(result)
    return [_board(split, preset, group) for (split, preset), group in sorted(groups.items())]


def _board(split: str, preset: str, group: Sequence[Result]) -> Board:
    finished = [result for result in group if result["status"] == "finished"]
    failed = tuple(result for result in group if result["status"] != "finished")
    counts = Counter(map(_comparable, finished))
    common = max(
        counts, key=lambda c: (len(c.bench_version), c.bench_version, counts[c], c), default=Comparable("", "", "")
    )
    ranked = _same_data([result for result in finished if _comparable(result) == common])
    others = tuple(result for result in finished if not any(result is member for member in ranked))
    rows = [_row(name, results) for name, results in _by_algorithm(ranked).items()]
    most = max((len(row.seeds) for row in rows), default=0)
    rows.sort(key=lambda row: (len(row.seeds) < most, *_rank(row)))  # each seed is another draw, and draws differ
    return Board(split, preset, common, tuple(rows), failed, others)


def _comparable(result: Result) -> Comparable:
    return Comparable(bench_version(result), board_key(result), metric_versions(result))


def _same_data(results: Sequence[Result]) -> list[Result]:
    """Results on the data that most results of their seed have: each seed of phantom has data of its own."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[result["seed"]][_data(result)] += 1
    usual = {seed: max(count, key=lambda key: (count[key], key)) for seed, count in counts.items()}
    return [result for result in results if _data(result) == usual[result["seed"]]]


def _data(result: Result) -> str:
    facts = result.get("provenance", {})
    return f"{facts.get('data_sha256')} {facts.get('split_sha256')}"


def _by_algorithm(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results by row: the algorithm's name, with part of the config hash where a name has several configurations."""
    by_name: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        by_name[result["algorithm"]][config_hash(result)].append(result)
    rows = {}
    for name, variants in by_name.items():
        for key, members in variants.items():
            rows[name if len(variants) == 1 else f"{name} ({key[:6]})"] = members
    return rows


def _rank(row: Row) -> tuple[float, str]:
    """Highest score first; rows without it last."""
    best = row.estimates.get(RANKED_BY)
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
    return Row(name, seeds, {key: estimate for key, estimate in found.items() if estimate is not None}, values)


def _cost(result: Result, name: str) -> float | None:
    communication = result.get("communication", {})
    if name == "train_seconds":
        seconds = result.get("provenance", {}).get("seconds", {}).get("train")
        return None if seconds is None else float(seconds)
    total = communication.get("upload_bytes")
    if total is None:
        return None
    rounds = len(communication.get("per_round") or [])
    return float(total / 1e6 if name == "upload_mb" else total / 1e6 / max(1, rounds))


def over_seeds(scores: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """Mean and 95 % t interval of several seeds; one seed keeps its own interval; None without any value."""
    known = [score for score in scores if score.get("value") is not None]
    values = [float(score["value"]) for score in known]
    if not values:
        return None
    if len(values) == 1:
        low, high = (known[0].get(end) for end in ("low", "high"))
        value = values[0]
        return Estimate(value, value if low is None else float(low), value if high is None else float(high), 1)
    from fedmrg_core.metrics.compare import seed_interval

    found = seed_interval(values)
    return Estimate(found.mean, found.low, found.high, found.n)
