"""Charts as inline SVG, without a library: each has a text alternative and its numbers as CSV.

    scatter("upload", "Score against upload", points)            # megabytes on a log axis, with the Pareto front
    pairs("unseen", "Seen and unseen hospitals", ("seen", "unseen"), rows)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from markupsafe import Markup

from benchmark.board.cells import decimal
from benchmark.board.page import Chart
from benchmark.board.rows import Estimate, Row
from benchmark.board.svg import (
    LABELS,
    LEFT,
    RIGHT,
    Axis,
    csv_link,
    cut,
    front_line,
    grid,
    lead,
    of_row,
    picture,
    score_axis,
    spread,
    text_at,
    told_estimate,
    value_and_ends,
    whisker,
)
from fedmrg_core.duration import duration

LINKS = (10, 100, 1000)
"""Speeds of a link in Mbit/s."""
LINK = 100
"""The one that a chart is drawn for."""
TIMES = {1e-3: "1 ms", 1e-2: "10 ms", 0.1: ".1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
TIMES |= {3600.0 * hours: f"{hours} h" for hours in (10, 100, 1000)}


@dataclass(frozen=True)
class Point:
    """A row with its upload in MB, in all, and its score."""

    row: Row
    upload: float
    score: Estimate


class Scored(Protocol):
    """Something with a score."""

    @property
    def score(self) -> Estimate: ...


S = TypeVar("S", bound=Scored)


def pareto(points: Sequence[S], cost: Callable[[S], float]) -> list[S]:
    """The points with a higher score than all that cost as little, from cheap to dear.

    Of points of equal cost and score the first.
    """
    front: list[S] = []
    for point in sorted(points, key=lambda one: (cost(one), -one.score.value)):
        if not front or point.score.value > front[-1].score.value:
            front.append(point)
    return front


def scatter(name: str, title: str, points: Sequence[Point], limits: tuple[float, float]) -> Chart | None:
    """A score against megabytes on a log axis, with the time at `LINK` above and the Pareto front as a line.

    Rows without upload are left of the axis. limits: the score's possible range, which no axis leaves. None if no row
    uploads anything, or there is one row.
    """
    uploads = [point.upload for point in points if point.upload > 0]
    if not uploads or len(points) < 2:
        return None
    y = score_axis([point.score for point in points], limits, 60)
    margin = max(1.5, math.sqrt(10 * min(uploads) / max(uploads)))  # a decade at least, so that it has ticks
    left = LEFT if len(uploads) == len(points) else LEFT + 64
    x = Axis(min(uploads) / margin, max(uploads) * margin, left, RIGHT, log=True)
    front = pareto(points, lambda one: one.upload)
    labels = spread([y.at(p.score.value) for p in points], y.start)
    parts = [*_scatter_axes(x, y), front_line([(_pixel(p, x), y.at(p.score.value)) for p in front], x.end)]
    for point, label in zip(points, labels, strict=True):
        across, value = _pixel(point, x), y.at(point.score.value)
        shown = lead(across + 6, value, label) + whisker(across, y.at(point.score.low), across, y.at(point.score.high))
        shown += Markup('<circle class="{}" cx="{}" cy="{}" r="5"/>').format(
            "dot" if point in front else "dot hollow", across, value
        )
        shown += text_at(LABELS, label + 4, f"{cut(point.row.algorithm)} {decimal(point.score.value)}")
        parts.append(of_row(point.row, _told(point), shown))
    text = "Not beaten by a row with as little upload: " + "; ".join(_told(point) for point in front) + "."
    hours = [f"hours_at_{speed}_mbit_s" for speed in LINKS]
    header = ["algorithm", "upload_mb", *hours, "score", "low", "high", "front"]
    numbers = []
    for p in points:
        times = [_seconds(p.upload, speed) / 3600 for speed in LINKS]
        numbers.append([p.row.algorithm, p.upload, *times, *value_and_ends(p.score), int(p in front)])
    return Chart(name, title, picture(name, title, text, (780, y.start + 46), parts), csv_link(header, numbers))


def pairs(name: str, title: str, labels: tuple[str, str], rows: Sequence[tuple[Row, Estimate, Estimate]]) -> Chart:
    """Two scores of each row below each other, with their intervals: dots for the first, squares for the second."""
    x = Axis(0.0, max(0.1, *(one.high for _, *both in rows for one in both)), 200, 640)
    bottom = 40 + 34 * len(rows)
    parts = [grid(x.at(tick), 34, x.at(tick), bottom) for tick in x.ticks()]
    parts += [text_at(x.at(tick), bottom + 18, decimal(tick), "middle") for tick in x.ticks()]
    parts.append(Markup('<circle class="dot" cx="206" cy="16" r="5"/>') + text_at(216, 20, labels[0]))
    parts.append(Markup('<rect class="dot second" x="381" y="11" width="9" height="9"/>') + text_at(396, 20, labels[1]))
    for number, (row, first, second) in enumerate(rows):
        middle = 57 + 34 * number
        a, b = middle - 6, middle + 6
        shown = text_at(190, middle + 4, cut(row.algorithm), "end")
        shown += whisker(x.at(first.low), a, x.at(first.high), a) + whisker(x.at(second.low), b, x.at(second.high), b)
        shown += Markup('<circle class="dot" cx="{}" cy="{}" r="5"/>').format(x.at(first.value), a)
        shown += Markup('<rect class="dot second" x="{}" y="{}" width="9" height="9"/>').format(
            round(x.at(second.value) - 4.5, 1), b - 4.5
        )
        shown += text_at(652, middle + 4, f"{decimal(first.value)} and {decimal(second.value)}")
        parts.append(of_row(row, _both(row, labels, first, second), shown))
    text = "; ".join(_both(row, labels, first, second) for row, first, second in rows) + "."
    header = ["algorithm", *(f"{label}{end}" for label in labels for end in ("", ", low", ", high"))]
    numbers = [[row.algorithm, *value_and_ends(first), *value_and_ends(second)] for row, first, second in rows]
    return Chart(name, title, picture(name, title, text, (780, bottom + 30), parts), csv_link(header, numbers))


def _seconds(megabytes: float, speed: int) -> float:
    return megabytes * 8 / speed


def _pixel(point: Point, x: Axis) -> float:
    return x.at(point.upload) if point.upload > 0 else 76.0


def _scatter_axes(x: Axis, y: Axis) -> list[Markup]:
    times = {seconds * LINK / 8: text for seconds, text in TIMES.items()}
    heights = [(y.at(tick), decimal(tick)) for tick in y.ticks()]
    parts = [grid(LEFT, height, x.end, height) + text_at(50, height + 4, text, "end") for height, text in heights]
    parts += [
        grid(x.at(tick), y.end, x.at(tick), y.start) + text_at(x.at(tick), y.start + 18, f"{tick:g}", "middle")
        for tick in x.ticks()
    ]
    parts += [
        Markup('<path class="tick" d="M{} 52V60"/>').format(x.at(size)) + text_at(x.at(size), 46, text, "middle")
        for size, text in times.items()
        if x.low <= size <= x.high
    ]
    if x.start > LEFT:
        parts.append(grid(76, y.end, 76, y.start) + text_at(76, y.start + 18, "none", "middle"))
    parts.append(text_at(x.end, 24, f"time of all uploads through one link of {LINK} Mbit/s", "end"))
    parts.append(text_at(x.end, y.start + 38, "upload of the whole run, MB", "end"))
    return parts


def _told(point: Point) -> str:
    times = ", ".join(f"{duration(_seconds(point.upload, speed))} at {speed}" for speed in LINKS)
    sent = f"{point.upload:.3g} MB, {times} Mbit/s" if point.upload else "no upload"
    return f"{point.row.algorithm}: {told_estimate(point.score)}; {sent}"


def _both(row: Row, labels: tuple[str, str], first: Estimate, second: Estimate) -> str:
    return f"{row.algorithm}: {labels[0]} {told_estimate(first)}, {labels[1]} {told_estimate(second)}"


