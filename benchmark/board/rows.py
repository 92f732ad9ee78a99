"""A row of a board: one algorithm's scores over its draws, each with its interval (`resampling.py`)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmark.board.resampling import Hospital, Patients, about, interval, over_draws, summed
from benchmark.board.results import TRIVIAL, Result, cpu_seconds, draw, studies
from benchmark.board.schema import possible_range
from benchmark.board.study_values import StudyValues, ViewValues
from fedmrg_core.metrics import per_study
from fedmrg_core.metrics.catalogue import VIEWS, find, shown
from fedmrg_core.metrics.stats import Floats

COSTS = ("upload_mb_round", "upload_mb", "train_cpu_s")
"""Bytes, and the CPU seconds of the clients' training: the time on the clock differs several times over with the
machine's other work."""
SCORE_TABLES = ("board", "head", "text", "conditions")
"""The tables of metrics on a board."""
SHUFFLED = "shuffled_worst_"

ValuesOf = Callable[[Result], StudyValues | None]
Score = Mapping[str, Any]
"""value, and low and high where it has an interval."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over draws and patients."""

    value: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Row:
    """One algorithm on one board. method: the registered algorithm behind its config. draws: number of different ones,
    or of seeds where the whole board has one draw. estimates: by key of a score that boards show, and by cost (COSTS).
    values, resampled: by these keys and draw, the value and its resamples. counted: every interval comes from
    committed per-study values, none from the scores' own intervals. results: those it is made of, by seed."""

    algorithm: str
    method: str
    seeds: tuple[int, ...]
    draws: int
    estimates: Mapping[str, Estimate]
    values: Mapping[str, Mapping[str, float]]
    resampled: Mapping[str, Mapping[str, Floats]] = field(compare=False, repr=False)
    counted: bool
    results: tuple[Result, ...] = field(compare=False, repr=False)

    @property
    def trivial(self) -> bool:
        """Whether it reads no film or was never trained."""
        return self.algorithm in TRIVIAL

    @property
    def variant(self) -> bool:
        """Whether it is a changed form of a method that has another name."""
        return not self.trivial and self.algorithm != self.method


def make_row(name: str, results: Sequence[Result], one_draw: bool, values_of: ValuesOf, patients: Patients) -> Row:
    """The row of an algorithm's results. one_draw: all of the board share data and base, so that seeds are counted."""
    draws: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        draws[f"seed {result['seed']}" if one_draw else draw(result)].append(result)
    stored = {id(result): values_of(result) or {} for result in results}
    found = {one: [_resampled(r, stored[id(r)], patients) for r in members] for one, members in draws.items()}
    values = {key: _means({one: _scores(members, key) for one, members in draws.items()}) for key in shown_scores()}
    resampled = {
        key: {one: np.mean([each[key] for each in found[one] if key in each], axis=0) for one in by_draw}
        for key, by_draw in values.items()
    }
    estimates = {key: _estimate(key, by_draw, resampled[key]) for key, by_draw in values.items() if by_draw}
    costs = {cost: _means({one: _costs(members, cost) for one, members in draws.items()}) for cost in COSTS}
    estimates |= {cost: _plain(by_draw) for cost, by_draw in costs.items() if by_draw}
    members = tuple(sorted(results, key=lambda result: int(result["seed"])))
    seeds = tuple(result["seed"] for result in members)
    method = str(results[0]["config"].get("method", results[0]["algorithm"]))
    return Row(name, method, seeds, len(draws), estimates, values, resampled, all(stored.values()), members)


def shown_scores() -> list[str]:
    """The scores that boards show: a result has a thousand more, by hospital."""
    metrics = dict.fromkeys(metric.key for table in SCORE_TABLES for metric in shown(table))
    return [f"{view.key}/{metric}" for view in VIEWS for metric in metrics]


def _resampled(result: Result, stored: StudyValues, patients: Patients) -> dict[str, Floats]:
    """The resamples of a result's scores: from its per-study values where it has them, else about its intervals."""
    found: dict[str, Floats] = {}
    known: list[tuple[ViewValues, dict[str, Floats]]] = []  # without personal parameters, two views are equal
    for view, values in stored.items():
        twin = next((own for other, own in known if values.equals(other)), None)
        own = twin or _counted(values, patients.of(studies(result), view.partition("/")[0], values))
        known.append((values, own))
        found |= {f"{view}/{name}": resamples for name, resamples in own.items()}
    for key in shown_scores():
        score = result["scores"].get(key, {})
        if key not in found and score.get("value") is not None:
            ends = _end(score, "low"), _end(score, "high")
            spread = about(float(score["value"]), *ends, result["algorithm"], studies(result))
            found[key] = np.clip(spread, *possible_range(key))
    return found


def _counted(values: ViewValues, hospitals: Sequence[Hospital]) -> dict[str, Floats]:
    """The resamples of the metrics of one view, and of their worst hospital where a board shows it."""
    tables = {id(rows): rows for rows in values.rows.values()}  # once each: metrics of a family share theirs
    ends = np.cumsum([rows.shape[1] for rows in tables.values()])[:-1]
    sums = dict(zip(tables, np.split(summed(np.hstack([*tables.values()]), hospitals), ends, axis=-1), strict=True))
    found = {}
    for name, rows in values.rows.items():
        metric, own = find(name), sums[id(rows)]
        combine = per_study.combine_of(metric)
        if combine is None:
            continue
        found[name] = combine(own.sum(0))
        if "board" in metric.worst_tables:
            worst = np.fmin if metric.higher_is_better else np.fmax
            found[f"worst_{name}"] = worst.reduce(combine(own))
    return found


def _estimate(key: str, by_draw: Mapping[str, float], resampled: Mapping[str, Floats]) -> Estimate:
    """The mean over draws with its interval. The worst by chance has the range of chance itself, whatever the draws."""
    value = math.fsum(by_draw.values()) / len(by_draw)
    spread = np.mean(list(resampled.values()), axis=0) if SHUFFLED in key else over_draws(resampled)
    low, high = interval(spread) or (value, value)
    return Estimate(value, low, high, len(by_draw))


def _scores(results: Sequence[Result], key: str) -> list[Score]:
    """The known scores of one draw's results."""
    found = [result["scores"][key] for result in results if key in result.get("scores", {})]
    return [score for score in found if score.get("value") is not None]


def _end(score: Score, end: str) -> float:
    return float(score["value"] if score.get(end) is None else score[end])


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
    return {
        name: math.fsum(float(score["value"]) for score in scores) / len(scores)
        for name, scores in by_draw.items()
        if scores
    }


def _plain(by_draw: Mapping[str, float]) -> Estimate:
    value = math.fsum(by_draw.values()) / len(by_draw)
    return Estimate(value, value, value, len(by_draw))
