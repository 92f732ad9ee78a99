"""The score table that `fedmrg bench` prints: the main scores of a run on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedmrg_core.errors import one_line
from fedmrg_core.metrics.catalogue import VIEWS, shown


def score_table(result: Mapping[str, Any]) -> str:
    """Scores with their 95 % intervals, bytes and times, as text."""
    scores = result["scores"]
    head = f"{result['algorithm']} on {result['split']}, preset {result['preset']}, seed {result['seed']}"
    metrics = shown("run")
    views = [view for view in VIEWS if any(f"{view.key}/{metric.key}" in scores for metric in metrics)]
    width = max(len(metric.title) for metric in metrics) + 1
    lines = [head, "", " " * width + "".join(f"{view.title:>26}" for view in views)]
    for metric in metrics:
        cells = [_cell(scores.get(f"{view.key}/{metric.key}")) for view in views]
        if any(cells):
            lines.append(f"{metric.title:<{width}}" + "".join(f"{cell:>26}" for cell in cells))
    lines += ["", _costs(result)]
    missing = result.get("missing_metrics", {})
    lines += [f"not scored: {one_line(name)} ({one_line(why)})" for name, why in missing.items()]
    return "\n".join(lines)


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
