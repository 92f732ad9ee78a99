"""The checks of a result file when it is read: types, finite numbers, known status, possible values.

A score that no metric can give (`1e999`, `NaN`, 1.7 of 1) must not lead a board, so a damaged or edited file is
refused by name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fedmrg_core.metrics.catalogue import Metric, find

STATUSES = ("finished", "failed", "interrupted")
LONGEST_NAME = 200
REQUIRED = {"algorithm": str, "split": str, "preset": str, "seed": int, "status": str, "config": dict}
OPTIONAL: dict[str, type] = dict.fromkeys(("scores", "provenance", "communication", "history"), dict)
OPTIONAL |= {"overrides": list, "config_hash": str}
FINISHED = {"scores": dict, "provenance": dict, "communication": dict, "config_hash": str, "params_sha256": str}
ROUNDING = 1e-6
"""How far a computed or rounded score may leave its range."""


def possible_range(key: str) -> tuple[float, float]:
    """Lowest and highest possible value of a score; infinite ends for metrics of unknown range.

    >>> possible_range("test/personal/worst_ce_f1_micro14")
    (0.0, 1.0)
    """
    metric = _metric(key.rpartition("/")[2])
    if metric.prefix == "spread_":
        return 0.0, metric.highest - metric.lowest
    return metric.lowest, metric.highest


@cache
def _metric(name: str) -> Metric:
    return find(name)


def problem(result: Any) -> str:
    """What is wrong with a result, in a few words; "" if nothing is."""
    if not isinstance(result, dict):
        return "not a table of keys and values"
    missing = sorted(REQUIRED.keys() - result.keys())
    if missing:
        return f"it lacks {', '.join(missing)}"
    wanted = REQUIRED | {key: kind for key, kind in OPTIONAL.items() if key in result}
    if result["status"] == "finished":
        wanted |= FINISHED
    for key, kind in wanted.items():
        if not isinstance(result.get(key), kind) or isinstance(result.get(key), bool):
            return f"{key} is {_shown(result.get(key))}, not {_NAMES[kind]}"
    checks: tuple[Callable[[dict[str, Any]], str], ...] = (_names, _scores, _costs, _sections, _history)
    return next((found for check in checks if (found := check(result))), "")


_NAMES = {str: "text", int: "a whole number", dict: "a table", list: "a list"}


def _names(result: Mapping[str, Any]) -> str:
    if result["status"] not in STATUSES:
        return f"status is {_shown(result['status'])}; allowed: {', '.join(STATUSES)}"
    if result["seed"] < 0:
        return f"seed is {result['seed']}; allowed: 0 or more"
    if not re.fullmatch(r"[0-9]{1,4}", str(result.get("bench_version", 0))):
        return f"bench_version is {_shown(result['bench_version'])}, not a number of up to four digits"
    for key in ("algorithm", "split", "preset"):
        name = result[key]
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            return f"{key} is {_shown(name)}, not a printable name of at most {LONGEST_NAME} characters"
        if {"", ".", ".."} & set(name.split("/")) or (key != "split" and "/" in name):
            return f"{key} is {_shown(name)}, which leads to another folder"
    for text in result.get("overrides", []):
        if not isinstance(text, str) or not text.isprintable():
            return f"overrides hold {_shown(text)}, not printable text"
    return ""


def _scores(result: Mapping[str, Any]) -> str:
    for key, score in result.get("scores", {}).items():
        if not isinstance(score, dict):
            return f"score {_shown(key)} is {_shown(score)}, not a table"
        lowest, highest = possible_range(key)
        for name in ("value", "low", "high"):
            number = score.get(name)
            if number is not None and not (is_number(number) and lowest - ROUNDING <= number <= highest + ROUNDING):
                return f"score {_shown(key)}: {name} is {_shown(number)}, not a number from {lowest:g} to {highest:g}"
        if None not in (score.get("low"), score.get("high")) and score["low"] > score["high"]:
            return f"score {_shown(key)}: its interval is from {score['low']} to {score['high']}"
    return ""


def _costs(result: Mapping[str, Any]) -> str:
    communication = result.get("communication", {})
    for key in ("upload_bytes", "download_bytes"):
        if key in communication and not (is_number(communication[key]) and communication[key] >= 0):
            return f"{key} is {_shown(communication[key])}, not a number of 0 or more"
    seconds = result.get("provenance", {}).get("client_cpu_seconds", 0)
    if not (is_number(seconds) and seconds >= 0):
        return f"client_cpu_seconds is {_shown(seconds)}, not a number of 0 or more"
    rounds = communication.get("per_round", [])
    return "" if isinstance(rounds, list) else f"per_round is {_shown(rounds)}, not a list"


def _sections(result: Mapping[str, Any]) -> str:
    """The parts of the configuration that boards compare are tables, if present."""
    for key in ("run", "train", "model", "evaluate", "engine"):
        if not isinstance(result["config"].get(key, {}), dict):
            return f"config.{key} is {_shown(result['config'][key])}, not a table"
    if not isinstance(result.get("provenance", {}).get("versions", {}), dict):
        return f"provenance.versions is {_shown(result['provenance']['versions'])}, not a table"
    return ""


def _history(result: Mapping[str, Any]) -> str:
    for name, points in result.get("history", {}).items():
        pairs = points if isinstance(points, list) else [None]
        if not all(isinstance(one, list) and len(one) == 2 and all(map(is_number, one)) for one in pairs):
            return f"history {_shown(name)} is {_shown(points)}, not a list of [round, number]"
    return ""


def is_number(value: Any) -> bool:
    """Whether it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}.."
