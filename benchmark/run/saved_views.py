"""MLflow's saved views of an experiment: which runs, columns and charts its page shows.

A view is a tag of the experiment in the format that MLflow's own page writes (seen in 3.17); no other part of MLflow
reads it. Where another version does not know the format, its page says so and shows the plain table.

    http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=leaderboard
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.run.headline import COSTS, CURVES, HEADLINES, IN_HOSPITALS

TAG = "mlflow.sharedViewState."
LEADERBOARD = "leaderboard"
COLUMNS = ("ce_f1", "ce_f1_macro", "bleu4", "rougeL", "nll", "unseen_ce_f1", "worst_ce_f1", "repeated", "upload_mb")
_SECTIONS = ("Scores", "Model metrics", "System metrics")
"""Ours, then the two that the page fills by itself."""


@dataclass(frozen=True)
class _View:
    """kind: of the runs that it lists. columns, bars, curves: metrics. scatter: metrics of x and y. mean_over: a tag;
    runs that share its value are shown with their means."""

    meaning: str
    kind: str
    columns: Sequence[str] = COLUMNS
    bars: Sequence[str] = ("ce_f1", "nll", "unseen_ce_f1", "bleu4")
    curves: Sequence[str] = ()
    scatter: Sequence[str] = ()
    mean_over: str = ""


VIEWS = {
    LEADERBOARD: _View(
        "a line per algorithm, means over seeds", "group", (*COLUMNS, "seeds"), scatter=("upload_mb", "ce_f1")
    ),
    "runs": _View("a line per run", "run", scatter=("upload_mb", "ce_f1")),
    "curves": _View(
        "runs by algorithm, with curves over the rounds",
        "run",
        bars=(),
        curves=("train_loss", "val_nll", "val_ce_f1", "round_s"),
        mean_over="group",
    ),
    "hospitals": _View("a line per hospital and run", "hospital", (*IN_HOSPITALS, "studies"), IN_HOSPITALS),
}
"""The views by the key in their link."""


def tags() -> dict[str, str]:
    """The experiment's tags that hold the views."""
    return {f"{TAG}{name}": _encoded(name, _state(view)) for name, view in VIEWS.items()}


def link(server: str, experiment: str, view: str = LEADERBOARD) -> str:
    """The address of a saved view. server: with or without a slash at its end."""
    key = f"workflowType=machine_learning&viewStateShareKey={view}"
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs?{key}"


def _encoded(name: str, state: dict[str, Any]) -> str:
    """The tag's value. Times are fixed, so that equal views are equal tags."""
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})


def _state(view: _View) -> dict[str, Any]:
    """What the page stores of itself."""
    columns = [f"metrics.`{name}`" for name in view.columns]
    keys = [{"mode": "tag", "groupByData": view.mean_over}]
    return {
        "searchFilter": f"tags.kind = '{view.kind}'",
        "orderByKey": "metrics.`ce_f1`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys} if view.mean_over else None,
        "compareRunCharts": [*_charts(view), *_left_out(view)],
        "compareRunSections": [_section(name) for name in _SECTIONS],
    }


def _section(name: str) -> dict[str, Any]:
    shown = name == _SECTIONS[0]
    return {"uuid": _id(name), "name": name, "display": shown, "isReordered": False, "deleted": False}


def _charts(view: _View) -> Iterator[dict[str, Any]]:
    for name in view.bars:
        yield _chart("BAR", name)
    if view.scatter:
        x, y = ({"key": name, "type": "METRIC"} for name in view.scatter)
        name = f"{view.scatter[1]} over {view.scatter[0]}"
        yield {**_chart("SCATTER", name), "metricKey": "", "xaxis": x, "yaxis": y, "runsCountToCompare": 100}
    for name in view.curves:
        yield {**_chart("LINE", name), **_LINE, "selectedMetricKeys": [name]}


_LINE = {
    "xAxisKey": "step",
    "yAxisKey": "metric",
    "scaleType": "linear",
    "xAxisScaleType": "linear",
    "lineSmoothness": 0,
    "selectedXAxisMetricKey": "",
    "range": {},
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
    "ignoreOutliers": False,
    "yAxisExpressions": [],
}


def _chart(kind: str, metric: str) -> dict[str, Any]:
    return {
        "uuid": _id(kind, metric),
        "type": kind,
        "metricKey": metric,
        "displayName": metric,
        "metricSectionId": _id(_SECTIONS[0]),
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 20,
    }


def _left_out(view: _View) -> Iterator[dict[str, Any]]:
    """Metrics without a chart: the page would add one for each metric that it does not find here."""
    names = dict.fromkeys([*(one.name for one in HEADLINES), *COSTS, *CURVES, "studies", "seeds"])
    for name in names:
        if name not in (*view.bars, *view.curves):
            yield {**_chart("BAR", name), "deleted": True, "metricSectionId": _id(_SECTIONS[1])}


def _id(*words: str) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:32]
