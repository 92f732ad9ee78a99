"""The score table that `fedmrg bench` prints: the main scores of a run on one screen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fedmrg_core.errors import one_line
from fedmrg_core.metrics.catalogue import VIEWS, Metric, View, shown

WIDTH = 80
"""Columns of a terminal that the table fits."""
CELL = 22


def score_table(result: Mapping[str, Any]) -> str:
    """Scores with their 95 % intervals, bytes and times, as text. Views that do not fit beside the others are below."""
    scores = result["scores"]
    head = f"{result['algorithm']} on {result['split']}, preset {result['preset']}, seed {result['seed']}"
    metrics = shown("run")
    views = [view for view in VIEWS if any(f"{view.key}/{metric.key}" in scores for metric in metrics)]
    width = max(len(metric.title) for metric in metrics) + 1
    beside = max(1, (WIDTH - width) // CELL)
    lines = [head]
    for start in range(0, len(views), beside):
        lines += ["", *_block(scores, metrics, views[start : start + beside], width)]
    lines += ["", *_wrapped(_costs(result))]
    missing = result.get("missing_metrics", {})
    for name, why in missing.items():
        lines += _wrapped(f"not scored: {one_line(name)} ({one_line(why)})")
    return "\n".join(lines)


def next_steps(result: Mapping[str, Any]) -> str:
    """Where to look at a run, and what to do next."""
    return (
        f"MLflow:  make ui, experiment '{result['split']} {result['preset']}'\n"
        f"compare: fedmrg compare {result['run_id']} OTHER_RUN_ID\n"
        "runs:    fedmrg runs"
    )


def _block(
    scores: Mapping[str, Any], metrics: Sequence[Metric], views: Sequence[View], width: int
) -> Iterator[str]:
    """The lines of views side by side: their names, their studies, and the metrics that one of them has."""
    yield " " * width + "".join(f"{view.title:>{CELL}}" for view in views)
    yield f"{'studies':<{width}}" + "".join(f"{_studies(scores, view):>{CELL}}" for view in views)
    for metric in metrics:
        cells = [_cell(scores.get(f"{view.key}/{metric.key}")) for view in views]
        if any(cells):
            yield f"{metric.title:<{width}}" + "".join(f"{cell:>{CELL}}" for cell in cells)


def _studies(scores: Mapping[str, Any], view: View) -> int:
    """Studies of a view; a score of single hospitals, or of one kind of study, has fewer."""
    return max(int(score["n"]) for key, score in scores.items() if key.rpartition("/")[0] == view.key)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return ""
    if score.get("low") is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def _costs(result: Mapping[str, Any]) -> str:
    sent, seconds = result["communication"], result["provenance"]["seconds"]
    rounds = max(len(sent["per_round"]), 1)
    shown = ("data", "base", "workers", "train", "generate", "metrics", "total")
    times = ", ".join(f"{name} {seconds[name]:.0f}" for name in shown if name in seconds)
    upload = sent["upload_bytes"] / 1e6
    return f"upload {upload / rounds:.2f} MB per round, {upload:.1f} MB in all; seconds: {times}"
