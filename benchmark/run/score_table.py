"""The score table that `fedmrg bench` prints: the main scores of a run on one screen."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.board.comparable import reason
from benchmark.board.results import Result, bench_version, draw, metric_versions, read, result_path
from benchmark.run.mirror import experiment_name
from fedmrg_core.errors import one_line
from fedmrg_core.metrics.catalogue import ADAPTED, VIEWS, Metric, View, find, shown
from fedmrg_core.paths import ROOT

WIDTH = 80
"""Columns of a terminal that the table fits."""
CELL, NARROW = 22, 12
REFERENCES = ("untrained", "constant", "constant-bleu")
"""Trivial rows that a run is compared with."""


def score_table(result: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Scores with their 95 % intervals, bytes and times, as text. Views that do not fit beside the others are below.

    others: results to show the differences from, by name (`board_rows`)."""
    scores = result["scores"]
    head = f"{result['algorithm']} on {result['split']}, preset {result['preset']}, seed {result['seed']}"
    metrics, views = shown("run"), _views(scores)
    width = max(len(metric.title) for metric in metrics) + 1
    beside = max(1, (WIDTH - width) // CELL)
    lines = [head, *_wrapped(models_line(result))]
    for start in range(0, len(views), beside):
        lines += ["", *_block(scores, metrics, views[start : start + beside], width)]
    lines += ["", *_differences(scores, others, views[0])] if others and views else []
    lines += ["", *_wrapped(_costs(result))]
    missing = result.get("missing_metrics", {})
    for name, why in missing.items():
        lines += _wrapped(f"not scored: {one_line(name)} ({one_line(why)})")
    return "\n".join(lines)


def models_line(result: Mapping[str, Any]) -> str:
    """The models that are not the tiny ones, by their names, with what must be said of them; "" if there are none."""
    found = [model for model in result["provenance"].get("models", {}).values() if len(model) > 1]
    said = [f"{m['name']} ({m.get('note') or 'sha256 ' + m['sha256'][:12]})" for m in found if "sha256" in m]
    return f"models: {'; '.join(said)}" if said else ""


def hospital_table(result: Mapping[str, Any]) -> str:
    """A line per hospital: its studies and main scores, in the view that leads for it."""
    scores, metrics = result["scores"], _main()
    lines = [f"{'hospital':<14}{'studies':>8}" + _row(_short(metric) for metric in metrics)]
    shown_in = {name: view for view in reversed(_views(scores)) for name in _hospitals(scores, view)}
    for name, view in sorted(shown_in.items()):
        own = [scores.get(f"{view.key}/{name}/{metric.key}") for metric in metrics]
        studies = max((int(score["n"]) for score in own if score), default=0)
        cells = _row(_value(score) for score in own)
        lines.append(f"{one_line(name, 13):<14}{studies:>8}{cells}  {view.title.partition(' ')[0]}")
    return "\n".join(lines)


def board_rows(result: Mapping[str, Any], root: Path = ROOT) -> dict[str, Result]:
    """Committed results to compare a run with, by what the score table calls them: the trivial rows of its data, and
    its own algorithm's row. Those that do not compare (other data, settings, library or metric versions) are left out.
    """
    found = {}
    for name in (*REFERENCES, result["algorithm"]):
        path = result_path({**result, "algorithm": name, "overrides": []}, root)
        row = read(path) if path.is_file() else None
        if row and not (_other_data(result, row) if name in REFERENCES else reason(dict(result), [row])):
            found[name if name in REFERENCES else "its row on the board"] = row
    return found


def _other_data(result: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a trivial row cannot be compared. It does not train, so that the budget of training does not matter."""
    return any(of(result) != of(row) for of in (draw, bench_version, metric_versions))


def next_steps(result: Mapping[str, Any]) -> str:
    """Where to look at a run, and what to do next."""
    return (
        f"MLflow:  make ui, experiment '{experiment_name(result)}'\n"
        f"compare: fedmrg compare {result['run_id']} OTHER_RUN_ID\n"
        "also:    fedmrg runs, fedmrg read RUN_ID, fedmrg leaderboard --with RUN_ID"
    )


def _views(scores: Mapping[str, Any]) -> list[View]:
    """The views that were scored: those of the boards, else the same of another part (`val/personal`)."""
    parts = dict.fromkeys(key.partition("/")[0] for key in scores)
    of_parts = [replace(view, key=f"{part}/{view.key.partition('/')[2]}") for part in parts for view in VIEWS[:2]]
    known = [*VIEWS, *(view for view in of_parts if view.key not in {one.key for one in VIEWS})]
    counts = {int(found[1]) for key in scores if (found := re.match(f"unseen/{ADAPTED}([0-9]+)/", key))}
    known += [replace(VIEWS[2], key=f"unseen/{ADAPTED}{n}", title=f"unseen, {n} studies") for n in sorted(counts)]
    return [view for view in known if any(f"{view.key}/{metric.key}" in scores for metric in shown("run"))]


def _hospitals(scores: Mapping[str, Any], view: View) -> set[str]:
    """The hospitals whose scores a view has."""
    keys = (key.removeprefix(f"{view.key}/") for key in scores if key.startswith(f"{view.key}/"))
    return {key.rpartition("/")[0] for key in keys if "/" in key}


def _main() -> list[Metric]:
    """The metrics of differences and hospitals."""
    return [find(key) for key in ("ce_f1_micro14", "ce_f1_macro14", "bleu4", "nll")]


def _short(metric: Metric) -> str:
    return metric.title.partition(",")[0]


def _value(score: Mapping[str, Any] | None) -> str:
    return f"{score['value']:.3f}" if score else ""


def _row(cells: Iterable[str]) -> str:
    return "".join(f"{cell:>{NARROW}}" for cell in cells)


def _differences(
    scores: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], view: View
) -> Iterator[str]:
    """A line per other result: how much more of each main score the run has."""
    metrics = _main()
    yield f"{f'difference, {view.title}':<26}" + _row(_short(metric) for metric in metrics)
    for name, other in others.items():
        pairs = [(scores.get(f"{view.key}/{m.key}"), other["scores"].get(f"{view.key}/{m.key}")) for m in metrics]
        cells = [f"{one['value'] - two['value']:+.3f}" if one and two else "" for one, two in pairs]
        yield f"{f'from {name}':<26}{_row(cells)}".rstrip()


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
    if score is None or score.get("low") is None:
        return _value(score)
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def _costs(result: Mapping[str, Any]) -> str:
    sent, seconds = result["communication"], result["provenance"]["seconds"]
    rounds = max(len(sent["per_round"]), 1)
    shown = ("data", "base", "workers", "train", "generate", "metrics", "total")
    times = ", ".join(f"{name} {seconds[name]:.0f}" for name in shown if name in seconds)
    upload = sent["upload_bytes"] / 1e6
    return f"upload {upload / rounds:.2f} MB per round, {upload:.1f} MB in all; seconds: {times}"
