"""What charts are made of: axes, texts, lines and marks as inline SVG, and their numbers as CSV.

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
from benchmark.board.rows import Estimate, Row

LONGEST = 26
"""Characters that a name in a chart is cut to."""
LINE = 15
"""Pixels from one line of text to the next."""
LEFT, RIGHT, LABELS = 56, 560, 572
"""Where a chart's frame begins and ends, and the names of its rows begin."""


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


def score_axis(scores: Sequence[Estimate], limits: tuple[float, float], top: float) -> Axis:
    """An upright axis from `top` down, with room for the scores' intervals within `limits` and a label for each."""
    low, high = min(score.low for score in scores), max(score.high for score in scores)
    pad = 0.08 * (high - low) or 0.05
    bottom = top + max(270, LINE * len(scores))
    return Axis(max(limits[0], low - pad), min(limits[1], high + pad), bottom, top)


def csv_link(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as a data: address of a CSV file; numbers with six digits, an unknown one empty."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{x:.6g}" if isinstance(x, float) else "" if x is None else x for x in row])
    return f"data:text/csv;charset=utf-8,{quote(out.getvalue(), safe='')}"


def spread(wanted: Sequence[float], bottom: float) -> list[float]:
    """Positions of labels, near those wanted and `LINE` apart, none below `bottom`."""
    found, above = dict[int, float](), -math.inf
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    for number in order:
        above = found[number] = max(wanted[number], above + LINE)
    below = bottom + LINE
    for number in reversed(order):
        below = found[number] = min(found[number], below - LINE)
    return [round(found[number], 1) for number in range(len(wanted))]


def told_estimate(found: Estimate) -> str:
    """A score with its interval, in words."""
    return f"{decimal(found.value)} ({decimal(found.low)} to {decimal(found.high)})"


def value_and_ends(found: Estimate) -> list[float]:
    """A score and the ends of its interval."""
    return [found.value, found.low, found.high]


def cut(name: str) -> str:
    """A name, shortened to `LONGEST`."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 2]}.."


def picture(name: str, title: str, text: str, size: tuple[float, float], parts: Sequence[Markup]) -> Markup:
    """A picture of `size` pixels with its title and text alternative. name: begins its ids on the page."""
    head = Markup(
        '<svg role="img" viewBox="0 0 {1} {2}" aria-labelledby="{0}-t {0}-d"><title id="{0}-t">{3}</title>'
        '<desc id="{0}-d">{4}</desc>'
    ).format(name, round(size[0]), round(size[1]), title, text)
    return head + Markup("\n").join(parts) + Markup("</svg>")


def of_row(row: Row, tip: str, shown: Markup) -> Markup:
    """What a chart shows of a row, by which the page's filter finds it. tip: shown under the pointer."""
    kind = "trivial" if row.trivial else "variant" if row.variant else ""
    group = Markup('<g data-row="{}" data-kind="{}"><title>{}</title>{}</g>')
    return group.format(row.algorithm, kind, tip, shown)


def text_at(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    """A text at a pixel; anchor: start, middle or end."""
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, round(y, 1), anchor, text)


def grid(x: float, y: float, to_x: float, to_y: float) -> Markup:
    """A thin line."""
    return Markup('<path class="grid" d="M{} {}L{} {}"/>').format(x, y, to_x, to_y)


def whisker(x: float, y: float, to_x: float, to_y: float) -> Markup:
    """The line of an interval."""
    return Markup('<path class="whisker" d="M{} {}L{} {}"/>').format(x, y, to_x, to_y)


def front_line(corners: Sequence[tuple[float, float]], end: float) -> Markup:
    """The Pareto front through its points, as steps to the right, to the pixel `end`."""
    steps = "".join(f"H{x}V{y}" for x, y in corners[1:])
    return Markup('<path class="front" d="M{} {}{}H{}"/>').format(*corners[0], steps, end)


def lead(x: float, y: float, label: float) -> Markup:
    """The thin line from a mark to its row's name, whose height is `label`."""
    return Markup('<path class="lead" d="M{} {}L{} {}"/>').format(x, y, LABELS - 4, label)
