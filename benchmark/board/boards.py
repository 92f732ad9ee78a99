"""Committed results grouped into boards: one per split, preset and overrides, with one row per algorithm.

A board ranks only results that compare (`comparable`); it lists the others with the reason. The seeds of an algorithm
become one row: mean and 95 % interval over the draws of data and base.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.board.comparable import Comparable, most_common, ranked, reason
from benchmark.board.results import TRIVIAL, Result, config_hash, cpu_seconds, digest, draw, overrides_hash
from benchmark.board.schema import possible_range
from fedmrg_core.metrics.catalogue import RANKED_BY, VIEWS, shown

COSTS = ("upload_mb_round", "upload_mb", "train_cpu_s")
"""Bytes, and the CPU seconds of the clients' training: the time on the clock differs several times over with the
machine's other work."""

SCORE_TABLES = ("board", "head", "text", "conditions")
"""The tables of metrics on a board."""
UNBOUNDED = (-math.inf, math.inf)

Score = Mapping[str, Any]
"""value, and low and high where it has an interval."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval: Student's t over draws, or one draw's bootstrap over patients. No interval goes
    beyond the values that the score can have."""

    value: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Row:
    """One algorithm on one board; `estimates` by key of a score that boards show and by cost (COSTS), `values` by
    these keys and draw. draws: number of different ones, or of seeds where the whole board has one draw."""

    algorithm: str
    seeds: tuple[int, ...]
    draws: int
    estimates: Mapping[str, Estimate]
    values: Mapping[str, Mapping[str, float]]

    @property
    def trivial(self) -> bool:
        """Whether it reads no film or was never trained."""
        return self.algorithm in TRIVIAL


@dataclass(frozen=True)
class Board:
    """Everything committed for a split, a preset and a suite's overrides of it."""

    split: str
    preset: str
    overrides: tuple[str, ...]
    common: Comparable
    rows: tuple[Row, ...]
    """Ranked; rows of fewer draws than the others come last."""
    failed: tuple[Result, ...] = ()
    one_draw: bool = False
    """All seeds share data and base, as on a real data set: seeds are the repetitions, and show training noise only."""
    incomparable: tuple[Result, ...] = ()
    """Finished results that differ in `Comparable`, or in the data or base of their seed."""
    reasons: tuple[str, ...] = ()
    """Why each of them does not compare."""

    @property
    def complete(self) -> tuple[Row, ...]:
        """The rows with the most draws."""
        return tuple(row for row in self.rows if row.draws == self.rows[0].draws)

    @property
    def slug(self) -> str:
        """The name of its pages, without the extension: one per board, and safe as a file name."""
        plain = f"{self.split.replace('/', '-')}--{self.preset}"
        if "-" in self.split or self.overrides or not re.fullmatch(r"[\w.-]+", plain, re.ASCII):
            key = digest([self.split, self.preset, sorted(self.overrides)])[:8]
            return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', plain)[:100]}--{key}"
        return plain


def boards(results: Iterable[Result]) -> list[Board]:
    """One board per split, preset and overrides, ordered by name. The newest bench_version is ranked, and of that what
    most results have in common (`Comparable`)."""
    groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[result["split"], result["preset"], overrides_hash(result)].append(result)
    return [_board(group) for _, group in sorted(groups.items())]


def _board(group: Sequence[Result]) -> Board:
    finished = [result for result in group if result["status"] == "finished"]
    failed = tuple(result for result in group if result["status"] != "finished")
    common = most_common(finished)
    members = ranked(finished, common)
    others = tuple(result for result in finished if not any(result is member for member in members))
    one_draw = len({draw(result) for result in members}) == 1
    rows = [_row(name, results, one_draw) for name, results in _by_algorithm(members).items()]
    most = max((row.draws for row in rows), default=0)
    rows.sort(key=lambda row: (row.draws < most, *_rank(row)))  # draws differ in difficulty
    first = group[0]
    overrides = tuple(sorted(first.get("overrides", [])))
    why = tuple(reason(result, members) for result in others)
    return Board(first["split"], first["preset"], overrides, common, tuple(rows), failed, one_draw, others, why)


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


def _row(name: str, results: Sequence[Result], one_draw: bool) -> Row:
    draws: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        draws[f"seed {result['seed']}" if one_draw else draw(result)].append(result)
    scores = {key: {name: _scores(members, key) for name, members in draws.items()} for key in _shown_scores()}
    scores |= {cost: {name: _costs(members, cost) for name, members in draws.items()} for cost in COSTS}
    found = {key: over_draws(list(by_draw.values()), possible_range(key)) for key, by_draw in scores.items()}
    values = {key: _means(by_draw) for key, by_draw in scores.items()}
    seeds = tuple(sorted(result["seed"] for result in results))
    return Row(name, seeds, len(draws), {key: one for key, one in found.items() if one is not None}, values)


def _shown_scores() -> list[str]:
    """The scores that boards show: a result has a thousand more, by hospital and by condition."""
    metrics = dict.fromkeys(metric.key for table in SCORE_TABLES for metric in shown(table))
    return [f"{view.key}/{metric}" for view in VIEWS for metric in metrics]


def _scores(results: Sequence[Result], key: str) -> list[Score]:
    """The known scores of one draw's results."""
    found = [result["scores"][key] for result in results if key in result.get("scores", {})]
    return [score for score in found if score.get("value") is not None]


def _costs(results: Sequence[Result], name: str) -> list[Score]:
    return [{"value": value} for result in results if (value := _cost(result, name)) is not None]


def _cost(result: Result, name: str) -> float | None:
    if name == "train_cpu_s":
        return cpu_seconds(result)
    communication = result.get("communication", {})
    total = communication.get("upload_bytes")
    if total is None:
        return None
    rounds = len(communication.get("per_round") or [])
    return float(total / 1e6 if name == "upload_mb" else total / 1e6 / max(1, rounds))


def _means(by_draw: Mapping[str, Sequence[Score]]) -> dict[str, float]:
    return {name: mean for name, scores in by_draw.items() if (mean := _mean(scores)) is not None}


def _mean(scores: Sequence[Score]) -> float | None:
    return math.fsum(float(score["value"]) for score in scores) / len(scores) if scores else None


def over_draws(draws: Iterable[Sequence[Score]], possible: tuple[float, float] = UNBOUNDED) -> Estimate | None:
    """Mean and 95 % t interval over draws (each the mean of its seeds), cut at the possible values. A single draw has
    the interval of its seed, or spans those of its seeds. None without any value."""
    known = [scores for scores in draws if scores]
    means = [mean for scores in known if (mean := _mean(scores)) is not None]
    if not means:
        return None
    if len(means) == 1:
        low, high = (_ends(known[0], end, means[0]) for end in ("low", "high"))
        return Estimate(means[0], min(low), max(high), 1)
    from fedmrg_core.metrics.compare import seed_interval

    found = seed_interval(means)
    return Estimate(found.mean, max(found.low, possible[0]), min(found.high, possible[1]), found.n)


def _ends(scores: Sequence[Score], end: str, default: float) -> list[float]:
    return [default if score.get(end) is None else float(score[end]) for score in scores]
