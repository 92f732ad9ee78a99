"""Charts as inline SVG, without a library: each has a text alternative and its numbers as CSV.

    scatter("upload", "Score against upload", points)            # megabytes on a log axis, with the Pareto front
    pairs("unseen", "Seen and unseen hospitals", ("seen", "unseen"), rows)

Colours are classes of `templates/board.css`, so that a chart follows the page's theme. What belongs to a row of the
board carries its name, by which the page's filter hides it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO
from urllib.parse import quote

from markupsafe import Markup

from benchmark.board.cells import decimal
from benchmark.board.page import Chart
from benchmark.board.rows import Estimate, Row

LINKS = (10, 100, 1000)
"""Speeds of a link in Mbit/s."""
AXIS_LINK = 100
"""The speed of the second axis of `scatter`."""
TIMES = {1e-3: "1 ms", 1e-2: "10 ms", 0.1: ".1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
TIMES |= {3600.0 * hours: f"{hours} h" for hours in (10, 100, 1000)}
LONGEST = 26
"""Characters that a name in a chart is cut to."""
LINE = 15
"""Pixels from one line of text to the next."""


@dataclass(frozen=True)
class Point:
    """A row with its upload in MB, in all, and its score."""

    row: Row
    upload: float
    score: Estimate


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` to `high` on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; one outside is moved to the nearer end."""
        value = min(self.high, max(self.low, value))
        ends = [math.log10(x) if self.log else x for x in (self.low, self.high, value)]
        return round(self.start + (ends[2] - ends[0]) / (ends[1] - ends[0]) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round numbers on the axis: three to nine of them, or those of a log axis."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(decades) < 5 else (1,)
            return [x for k in decades for n in steps if self.low <= (x := n * 10.0**k) <= self.high]
        power = 10 ** math.floor(math.log10((self.high - self.low) / 3))
        step = next(n * power for n in (5, 2, 1) if n * power <= (self.high - self.low) / 3)
        count = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        return [round(n * step, 9) for n in count]


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points with a higher score than all with as little upload, from little to much.

    Rows of equal upload and score: the first of them.
    """
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.upload, -one.score.value)):
        if not front or point.score.value > front[-1].score.value:
            front.append(point)
    return front


def scatter(name: str, title: str, points: Sequence[Point], limits: tuple[float, float]) -> Chart | None:
    """A score against megabytes on a log axis, with the time at `AXIS_LINK` above and the Pareto front as a line.

    Rows without upload are left of the axis. limits: the score's possible range, which no axis leaves. None if no row
    uploads anything, or there is one row.
    """
    uploads = [point.upload for point in points if point.upload > 0]
    if not uploads or len(points) < 2:
        return None
    low, high = min(p.score.low for p in points), max(p.score.high for p in points)
    pad = 0.08 * (high - low) or 0.05
    bottom = 60 + max(270, LINE * len(points))
    y = Axis(max(limits[0], low - pad), min(limits[1], high + pad), bottom, 60)
    margin = max(1.5, math.sqrt(10 * min(uploads) / max(uploads)))  # a decade at least, so that it has ticks
    x = Axis(min(uploads) / margin, max(uploads) * margin, 56 if len(uploads) == len(points) else 120, 560, log=True)
    front = pareto(points)
    labels = _spread([y.at(p.score.value) for p in points], bottom)
    parts = [*_scatter_axes(x, y), _front_line([(_pixel(p, x), y.at(p.score.value)) for p in front], x.end)]
    for point, label in zip(points, labels, strict=True):
        across, value = _pixel(point, x), y.at(point.score.value)
        shown = Markup('<path class="lead" d="M{} {}L568 {}"/>').format(across + 6, value, label)
        shown += _whisker(across, y.at(point.score.low), across, y.at(point.score.high))
        shown += Markup('<circle class="{}" cx="{}" cy="{}" r="5"/>').format(
            "dot" if point in front else "dot hollow", across, value
        )
        shown += _text(572, label + 4, f"{_cut(point.row.algorithm)} {decimal(point.score.value)}")
        parts.append(_of_row(point.row, _told(point), shown))
    text = "Not beaten by a row with as little upload: " + "; ".join(_told(point) for point in front) + "."
    hours = [f"hours_at_{speed}_mbit_s" for speed in LINKS]
    header = ["algorithm", "upload_mb", *hours, "score", "low", "high", "front"]
    numbers = [
        [p.row.algorithm, p.upload, *(_seconds(p.upload, s) / 3600 for s in LINKS), *_numbers(p.score), int(p in front)]
        for p in points
    ]
    return Chart(name, title, _svg(name, title, text, (780, bottom + 46), parts), csv_link(header, numbers))


def pairs(name: str, title: str, labels: tuple[str, str], rows: Sequence[tuple[Row, Estimate, Estimate]]) -> Chart:
    """Two scores of each row below each other, with their intervals: dots for the first, squares for the second."""
    x = Axis(0.0, max(0.1, *(one.high for _, *both in rows for one in both)), 200, 640)
    bottom = 40 + 34 * len(rows)
    parts = [_grid(x.at(tick), 34, x.at(tick), bottom) for tick in x.ticks()]
    parts += [_text(x.at(tick), bottom + 18, decimal(tick), "middle") for tick in x.ticks()]
    parts.append(Markup('<circle class="dot" cx="206" cy="16" r="5"/>') + _text(216, 20, labels[0]))
    parts.append(Markup('<rect class="dot second" x="381" y="11" width="9" height="9"/>') + _text(396, 20, labels[1]))
    for number, (row, first, second) in enumerate(rows):
        middle = 57 + 34 * number
        a, b = middle - 6, middle + 6
        shown = _text(190, middle + 4, _cut(row.algorithm), "end")
        shown += _whisker(x.at(first.low), a, x.at(first.high), a) + _whisker(x.at(second.low), b, x.at(second.high), b)
        shown += Markup('<circle class="dot" cx="{}" cy="{}" r="5"/>').format(x.at(first.value), a)
        shown += Markup('<rect class="dot second" x="{}" y="{}" width="9" height="9"/>').format(
            round(x.at(second.value) - 4.5, 1), b - 4.5
        )
        shown += _text(652, middle + 4, f"{decimal(first.value)} and {decimal(second.value)}")
        parts.append(_of_row(row, _both(row, labels, first, second), shown))
    text = "; ".join(_both(row, labels, first, second) for row, first, second in rows) + "."
    header = ["algorithm", *(f"{label}{end}" for label in labels for end in ("", ", low", ", high"))]
    numbers = [[row.algorithm, *_numbers(first), *_numbers(second)] for row, first, second in rows]
    return Chart(name, title, _svg(name, title, text, (780, bottom + 30), parts), csv_link(header, numbers))


def csv_link(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as a data: address of a CSV file; numbers with six digits, an unknown one empty."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{x:.6g}" if isinstance(x, float) else "" if x is None else x for x in row])
    return f"data:text/csv;charset=utf-8,{quote(out.getvalue(), safe='')}"


def duration(seconds: float) -> str:
    """A time in the unit that fits it.

    >>> duration(0.79), duration(90), duration(7200)
    ('0.79 s', '1.5 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _seconds(megabytes: float, speed: int) -> float:
    return megabytes * 8 / speed


def _pixel(point: Point, x: Axis) -> float:
    return x.at(point.upload) if point.upload > 0 else 76.0


def _spread(wanted: Sequence[float], bottom: float) -> list[float]:
    """Positions of labels, near those wanted and `LINE` apart, none below `bottom`."""
    found, above = dict[int, float](), -math.inf
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    for number in order:
        above = found[number] = max(wanted[number], above + LINE)
    below = bottom + LINE
    for number in reversed(order):
        below = found[number] = min(found[number], below - LINE)
    return [round(found[number], 1) for number in range(len(wanted))]


def _scatter_axes(x: Axis, y: Axis) -> list[Markup]:
    times = {seconds * AXIS_LINK / 8: text for seconds, text in TIMES.items()}
    heights = [(y.at(tick), decimal(tick)) for tick in y.ticks()]
    parts = [_grid(56, height, x.end, height) + _text(50, height + 4, text, "end") for height, text in heights]
    parts += [
        _grid(x.at(tick), y.end, x.at(tick), y.start) + _text(x.at(tick), y.start + 18, f"{tick:g}", "middle")
        for tick in x.ticks()
    ]
    parts += [
        Markup('<path class="tick" d="M{} 52V60"/>').format(x.at(size)) + _text(x.at(size), 46, text, "middle")
        for size, text in times.items()
        if x.low <= size <= x.high
    ]
    if x.start > 56:
        parts.append(_grid(76, y.end, 76, y.start) + _text(76, y.start + 18, "none", "middle"))
    parts.append(_text(x.end, 24, f"time of all uploads through one link of {AXIS_LINK} Mbit/s", "end"))
    parts.append(_text(x.end, y.start + 38, "upload of the whole run, MB", "end"))
    return parts


def _front_line(corners: Sequence[tuple[float, float]], end: float) -> Markup:
    steps = "".join(f"H{x}V{y}" for x, y in corners[1:])
    return Markup('<path class="front" d="M{} {}{}H{}"/>').format(*corners[0], steps, end)


def _told(point: Point) -> str:
    times = ", ".join(f"{duration(_seconds(point.upload, speed))} at {speed}" for speed in LINKS)
    sent = f"{point.upload:.3g} MB, {times} Mbit/s" if point.upload else "no upload"
    return f"{point.row.algorithm}: {_estimate(point.score)}; {sent}"


def _both(row: Row, labels: tuple[str, str], first: Estimate, second: Estimate) -> str:
    return f"{row.algorithm}: {labels[0]} {_estimate(first)}, {labels[1]} {_estimate(second)}"


def _estimate(found: Estimate) -> str:
    return f"{decimal(found.value)} ({decimal(found.low)} to {decimal(found.high)})"


def _numbers(found: Estimate) -> list[float]:
    return [found.value, found.low, found.high]


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 2]}.."


def _svg(name: str, title: str, text: str, size: tuple[float, float], parts: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg role="img" viewBox="0 0 {1} {2}" aria-labelledby="{0}-t {0}-d"><title id="{0}-t">{3}</title>'
        '<desc id="{0}-d">{4}</desc>'
    ).format(name, round(size[0]), round(size[1]), title, text)
    return head + Markup("\n").join(parts) + Markup("</svg>")


def _of_row(row: Row, tip: str, shown: Markup) -> Markup:
    kind = "trivial" if row.trivial else "variant" if row.variant else ""
    group = Markup('<g data-row="{}" data-kind="{}"><title>{}</title>{}</g>')
    return group.format(row.algorithm, kind, tip, shown)


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, round(y, 1), anchor, text)


def _grid(x: float, y: float, to_x: float, to_y: float) -> Markup:
    return Markup('<path class="grid" d="M{} {}L{} {}"/>').format(x, y, to_x, to_y)


def _whisker(x: float, y: float, to_x: float, to_y: float) -> Markup:
    return Markup('<path class="whisker" d="M{} {}L{} {}"/>').format(x, y, to_x, to_y)
