"""Numbers of each round, of the results that hold them (`history`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.board.boards import Board
from benchmark.board.cells import decimal
from benchmark.board.page import Chart, Section
from benchmark.board.rows import Row
from benchmark.board.svg import (
    LABELS,
    LEFT,
    LINE,
    RIGHT,
    Axis,
    csv_link,
    cut,
    grid,
    lead,
    of_row,
    picture,
    spread,
    text_at,
)

MEANING = (
    "Means over seeds, after each round. The training loss is the algorithm's own: it shows whether training has "
    "settled, and compares no two algorithms. Rows whose results are older than these numbers are left out."
)
TITLES = {
    "train_loss": "Training loss",
    "val_nll": "NLL on validation studies",
    "val_ce_f1": "CE F1 micro on validation studies",
    "agreement": "Mean cosine of two hospitals' updates",
    "update_norm": "Mean size of the hospitals' updates of the language model",
}
TOP = 24


@dataclass(frozen=True)
class Curve:
    """A row's number by round, from round 1 on."""

    row: Row
    points: tuple[tuple[int, float], ...]


def curves_section(board: Board) -> Iterator[Section]:
    """A chart for each number that at least one row has."""
    found = {name: [c for row in board.complete if (c := _curve(row, name)).points] for name in TITLES}
    charts = tuple(_chart(name, curves) for name, curves in found.items() if curves)
    if charts:
        yield Section("Curves by round", MEANING, charts=charts)


def _curve(row: Row, name: str) -> Curve:
    """The mean over the seeds at the rounds that all of them have."""
    found = [dict(one.get("history", {}).get(name, [])) for one in row.results]
    rounds = sorted(set.intersection(*(set(one) for one in found))) if found else []
    return Curve(row, tuple((at, math.fsum(one[at] for one in found) / len(found)) for at in rounds))


def _chart(name: str, curves: Sequence[Curve]) -> Chart:
    title = f"{TITLES[name]}, by round"
    values = [value for curve in curves for _, value in curve.points]
    pad = 0.05 * (max(values) - min(values)) or 0.05
    bottom = TOP + max(220, LINE * len(curves))
    y = Axis(min(values) - pad, max(values) + pad, bottom, TOP)
    x = Axis(1, max(2, *(at for curve in curves for at, _ in curve.points)), LEFT, RIGHT)
    parts = [grid(LEFT, y.at(t), RIGHT, y.at(t)) + text_at(50, y.at(t) + 4, f"{t:g}", "end") for t in y.ticks()]
    parts += [text_at(x.at(t), bottom + 18, f"{t:g}", "middle") for t in x.ticks() if t == int(t)]
    parts.append(text_at(RIGHT, bottom + 36, "round", "end"))
    heights = spread([y.at(curve.points[-1][1]) for curve in curves], bottom)
    parts += [_line(curve, x, y, label) for curve, label in zip(curves, heights, strict=True)]
    text = "; ".join(f"{c.row.algorithm}: {_said(c.points[0])}, {_said(c.points[-1])}" for c in curves) + "."
    numbers = [[curve.row.algorithm, at, value] for curve in curves for at, value in curve.points]
    return Chart(name, title, picture(name, title, text, (780, bottom + 44), parts), csv_link(_HEADER, numbers))


_HEADER = ["algorithm", "round", "value"]


def _line(curve: Curve, x: Axis, y: Axis, label: float) -> Markup:
    """A line with the row's name at its end."""
    points = [(x.at(at), y.at(value)) for at, value in curve.points]
    drawn = "M" + "L".join(f"{across} {height}" for across, height in points)
    shown = Markup('<path class="curve" d="{}"/>').format(drawn)
    shown += lead(points[-1][0] + 2, points[-1][1], label)
    shown += text_at(LABELS, label + 4, f"{cut(curve.row.algorithm)} {decimal(curve.points[-1][1])}")
    return of_row(curve.row, f"{curve.row.algorithm}: {_said(curve.points[-1])}", shown)


def _said(point: tuple[int, float]) -> str:
    return f"{decimal(point[1])} in round {point[0]}"
