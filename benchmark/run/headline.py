"""The few numbers of a run that MLflow shows, by short names that fit its columns. All others are in `result.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedmrg_core.tracking import metric_name

OWN, SHARED, UNSEEN = "personal", "global", "unseen/global"
Scores = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Headline:
    """A number of a run. name: in MLflow. view: OWN (own hospitals, personal view), SHARED (the same, global view) or
    UNSEEN. key: the score's name there. meaning: for the run's note and the documentation."""

    name: str
    view: str
    key: str
    meaning: str


HEADLINES = (
    Headline("ce_f1", OWN, "ce_f1_micro14", "CE F1 micro, own hospitals"),
    Headline("ce_f1_macro", OWN, "ce_f1_macro14", "CE F1 macro, own hospitals"),
    Headline("bleu4", OWN, "bleu4", "BLEU-4, own hospitals"),
    Headline("rougeL", OWN, "rougeL", "ROUGE-L, own hospitals"),
    Headline("meteor", OWN, "meteor", "METEOR, own hospitals"),
    Headline("nll", OWN, "nll", "nats per token of the reference; means the same for every algorithm"),
    Headline("head_f1", OWN, "head_f1_micro14", "F1 micro of the diagnosis head"),
    Headline("distinct", OWN, "distinct", "share of distinct reports"),
    Headline("repeated", OWN, "repeated", "share of reports that say a sentence twice"),
    Headline("worst_ce_f1", OWN, "worst_ce_f1_micro14", "CE F1 micro of the worst own hospital"),
    Headline("global_ce_f1", SHARED, "ce_f1_micro14", "CE F1 micro, own hospitals, shared model"),
    Headline("unseen_ce_f1", UNSEEN, "ce_f1_micro14", "CE F1 micro, unseen hospitals"),
    Headline("unseen_nll", UNSEEN, "nll", "`nll` of unseen hospitals"),
)
"""Scores; `headlines` adds the costs."""
COSTS = {
    "upload_mb": "MB that all clients sent, over all rounds",
    "cpu_s": "CPU seconds of the clients' training",
}
CURVES = {
    "train_loss": "the algorithm's own training loss: not comparable between algorithms",
    "val_ce_f1": "CE F1 micro on validation studies (setting `val_every`)",
    "val_nll": "`nll` on validation studies (setting `val_every`)",
    "update_norm": "mean size of the hospitals' updates of the language model",
    "agreement": "mean cosine of two hospitals' updates: 1 = all pull the same way, 0 = each its own",
    "round_s": "seconds of the round",
}
"""Numbers of each round."""
IN_HOSPITALS = ("ce_f1", "ce_f1_macro", "bleu4", "rougeL", "nll")
"""Headlines that each hospital has, too."""
DIGITS = 4
MOST_HOSPITALS = 64
"""Nested runs per run; `result.json` has all hospitals."""


def headlines(result: Mapping[str, Any]) -> dict[str, float]:
    """The headline numbers that a result has."""
    scores: Scores = result.get("scores", {})
    found = {one.name: _value(scores, f"{_view(scores, one.view)}/{one.key}") for one in HEADLINES}
    found["upload_mb"] = round(result.get("communication", {}).get("upload_bytes", 0) / 1e6, DIGITS)
    found["cpu_s"] = result.get("provenance", {}).get("client_cpu_seconds")
    return {name: value for name, value in found.items() if value is not None}


def intervals(result: Mapping[str, Any]) -> dict[str, str]:
    """The 95 % intervals of headline scores, as text."""
    scores: Scores = result.get("scores", {})
    found = {one.name: scores.get(f"{_view(scores, one.view)}/{one.key}", {}) for one in HEADLINES}
    known = {name: score for name, score in found.items() if score.get("low") is not None}
    return {name: f"{score['low']:.3f} to {score['high']:.3f}" for name, score in known.items()}


def of_hospitals(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Hospital -> its numbers, each in the view that leads for it: personal if it trained, else global."""
    scores: Scores = result.get("scores", {})
    found: dict[str, dict[str, float]] = {}
    for view in (_view(scores, OWN), UNSEEN):
        for one in (one for one in HEADLINES if one.name in IN_HOSPITALS and one.view == OWN):
            for key in (key for key in scores if key.startswith(f"{view}/") and key.endswith(f"/{one.key}")):
                name = key.removeprefix(f"{view}/").removesuffix(one.key).strip("/")
                if name and (value := _value(scores, key)) is not None:
                    found.setdefault(name, {"studies": float(scores[key].get("n", 0))})[one.name] = value
    return {name: found[name] for name in sorted(found)[:MOST_HOSPITALS]}


def of_round(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a `rounds.jsonl` row that have a curve."""
    updates, trained = row.get("updates", {}), row.get("steps", 1) > 0  # after the last round, nobody may train
    known = {"round_s": row.get("seconds", {}).get("total"), **row.get("val", {})}
    known |= {"train_loss": row["loss"]} if trained and "loss" in row else {}
    known |= {"update_norm": updates.get("norm", {}).get("lm"), "agreement": updates.get("cosine", {}).get("all")}
    return {metric_name(name): float(value) for name, value in known.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    """Not NaN: an F1 without any positive label has no value."""
    return isinstance(value, int | float) and math.isfinite(value)


def _view(scores: Scores, view: str) -> str:
    """The view with its part: test, or the first part of a run that scored no test studies."""
    if "/" in view:
        return view
    parts = list(dict.fromkeys(key.partition("/")[0] for key in scores))
    seen = [part for part in parts if any(key.startswith(f"{part}/{view}/") for key in scores)]
    return f"{'test' if 'test' in seen or not seen else seen[0]}/{view}"


def _value(scores: Scores, key: str) -> float | None:
    """Rounded so that it fits a column; `result.json` has all digits."""
    value = scores.get(key, {}).get("value")
    return None if value is None else round(float(value), DIGITS)
