"""The score table that `fedmrg bench` prints: what people ask first, on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VIEWS = (("test/personal", "personal"), ("test/global", "global"), ("unseen/global", "unseen hospitals"))
METRICS = (
    ("ce_f1_micro14", "CE F1 micro"),
    ("ce_f1_macro14", "CE F1 macro"),
    ("head_f1_micro14", "head F1 micro"),
    ("head_accuracy", "head accuracy"),
    ("head_auroc", "head AUROC"),
    ("bleu4", "BLEU-4"),
    ("meteor", "METEOR"),
    ("rougeL", "ROUGE-L"),
    ("cider", "CIDEr"),
    ("worst_ce_f1_micro14", "worst CE F1"),
)


def score_table(result: Mapping[str, Any]) -> str:
    """Scores with their 95 % intervals, bytes and times, as text."""
    scores = result["scores"]
    head = f"{result['algorithm']} on {result['split']}, preset {result['preset']}, seed {result['seed']}"
    views = [(view, title) for view, title in VIEWS if any(f"{view}/{metric}" in scores for metric, _ in METRICS)]
    lines = [head, "", f"{'':<14}" + "".join(f"{title:>26}" for view, title in views)]
    for metric, title in METRICS:
        cells = [_cell(scores.get(f"{view}/{metric}")) for view, _ in views]
        if any(cells):
            lines.append(f"{title:<14}" + "".join(f"{cell:>26}" for cell in cells))
    lines += ["", _costs(result)]
    lines += [f"not scored: {name} ({why})" for name, why in result.get("missing_metrics", {}).items()]
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
    return f"upload {upload / rounds:.2f} MB a round, {upload:.1f} MB in all; seconds: {times}"
