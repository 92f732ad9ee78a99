"""Which results may be ranked together, and, for a result that may not, why: one line.

    common = most_common(results)                      # what most results of the newest bench_version share
    reason(result, ranked)                             # "torch 2.14.0, not 2.13.0"; "" if it may be ranked with them
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmark.board.results import (
    BUDGET,
    FLOAT32,
    Result,
    bench_version,
    board_key,
    draw,
    libraries,
    lost_updates,
    metric_versions,
    model_settings,
)

DRAWN = {"data": "data", "split": "division into hospitals", "model": "base"}
"""Hashes of what a seed drew, with what differs if one does."""


class Comparable(NamedTuple):
    """What the rows of a board have in common. lost: updates that the fault policy dropped or replaced."""

    bench_version: str
    board_key: str
    metrics: str
    libraries: str
    lost: int


NOTHING = Comparable("", "", "", "", 0)


def comparable(result: Result) -> Comparable:
    """What decides with which results it may be ranked, apart from its draw."""
    facts = bench_version(result), board_key(result), metric_versions(result), libraries(result)
    return Comparable(*facts, lost_updates(result))


def most_common(results: Sequence[Result]) -> Comparable:
    """Of the newest bench_version, what most results share."""
    counts = Counter(map(comparable, results))
    return max(counts, key=lambda c: (len(c.bench_version), c.bench_version, counts[c], c), default=NOTHING)


def usual_draws(results: Sequence[Result]) -> dict[int, str]:
    """Seed -> the draw of data and base that most results of this seed have."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[result["seed"]][draw(result)] += 1
    return {seed: max(count, key=lambda key: (count[key], key)) for seed, count in counts.items()}


def ranked(results: Sequence[Result], common: Comparable) -> list[Result]:
    """The results that have this in common, with the draw that most of their seed have."""
    alike = [result for result in results if comparable(result) == common]
    usual = usual_draws(alike)
    return [result for result in alike if draw(result) == usual[result["seed"]]]


def reason(result: Result, others: Sequence[Result]) -> str:
    """Why a result cannot be ranked with others, which can be ranked with each other; "" if it can."""
    return next(_reasons(result, others[0], [one for one in others if one["seed"] == result["seed"]]), "")


def _reasons(result: Result, other: Result, of_its_seed: Sequence[Result]) -> Iterator[str]:
    own, usual = comparable(result), comparable(other)
    if own.bench_version != usual.bench_version:
        yield f"bench_version {own.bench_version}, not {usual.bench_version}"
    if own.board_key != usual.board_key:
        yield _setting(result["config"], other["config"])
    if own.metrics != usual.metrics:
        yield f"scored by {own.metrics}, not by {usual.metrics}"
    if own.libraries != usual.libraries:
        yield _differing(own.libraries, usual.libraries)
    if own.lost != usual.lost:
        yield f"{own.lost} updates of clients were lost, not {usual.lost}"
    for one in of_its_seed[:1]:
        facts, others = result["provenance"], one["provenance"]
        names = [text for name, text in DRAWN.items() if facts.get(f"{name}_sha256") != others.get(f"{name}_sha256")]
        if names:
            yield f"another {' and '.join(names)} than the other rows of seed {result['seed']}"


def _setting(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first setting that the rows of a board share and these two do not."""
    for name, value, usual in _settings(own, other):
        if value != usual:
            return f"{name} = {value}, not {usual}" if name != "faults" else "another fault policy"
    return "other settings"


def _settings(own: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, value, other value) of what the board key covers."""
    yield "faults", own.get("faults") or {}, other.get("faults") or {}
    precision = [config.get("engine", {}).get("precision", FLOAT32) for config in (own, other)]
    yield "engine.precision", precision[0], precision[1]
    for section in ("run", "train", "model", "evaluate"):
        first, second = (
            (model_settings(config) if section == "model" else config.get(section)) or {} for config in (own, other)
        )
        for key in BUDGET if section == "train" else sorted({*first, *second} - {"seed"}):
            yield f"{section}.{key}", first.get(key), second.get(key)


def _differing(own: str, other: str) -> str:
    """Of two lists of libraries, those that differ."""
    before, after = (dict(part.split(" ") for part in text.split(", ") if part) for text in (own, other))
    pairs = [(name, before.get(name, "-"), after.get(name, "-")) for name in sorted({*before, *after})]
    return ", ".join(f"{name} {one}, not {two}" for name, one, two in pairs if one != two)
