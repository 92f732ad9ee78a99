"""Score against the time of a run, at a speed of the link that the reader of the page chooses (`templates/link.js`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmark.board.boards import Board
from benchmark.board.cells import decimal, line, score_cell
from benchmark.board.charts import LINK, LINKS, pareto
from benchmark.board.page import Cell, Chart, Section, Table
from benchmark.board.rows import Estimate, Row
from benchmark.board.schema import possible_range
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
from fedmrg_core.metrics.catalogue import RANKED_BY, find

MEANING = (
    "CE F1 micro of the own hospitals (personal view) against the time of the whole run where hospitals take turns: "
    "the CPU time of all training, and all uploads and downloads through one link. The line is the Pareto front, as "
    "above. Rows without CPU time (trained on a GPU) and rows that were never trained are left out."
)
TIMES = [n * unit for unit, steps in ((1, (1, 2, 5, 10, 20, 30)), (60, (1, 2, 5, 10, 20, 30))) for n in steps]
TIMES += [3600 * n * 10**power for power in range(4) for n in (1, 2, 5)]
"""Seconds that the axis may name."""


@dataclass(frozen=True)
class Timed:
    """A row with its CPU seconds, what it sends and receives in MB, and its score."""

    row: Row
    cpu: float
    megabytes: float
    score: Estimate

    def seconds(self, speed: float) -> float:
        """Of the whole run, at `speed` Mbit/s."""
        return self.cpu + self.megabytes * 8 / speed


def time_section(board: Board) -> Iterator[Section]:
    """A chart and a table; nothing where fewer than two rows have a time."""
    known = {RANKED_BY, "train_cpu_s", "upload_mb"}
    rows = [row for row in board.complete if not row.trivial and known <= row.estimates.keys()]
    points = [Timed(r, r.estimates["train_cpu_s"].value, _megabytes(r), r.estimates[RANKED_BY]) for r in rows]
    if len(points) > 1:
        yield Section(
            "Score against time", MEANING, (_table(points),), charts=(_chart(points),), speeds=LINKS, speed=LINK
        )


def _megabytes(row: Row) -> float:
    sent = [one["communication"] for one in row.results]
    both = sum(float(one["upload_bytes"] + one.get("download_bytes", 0)) for one in sent)
    return both / 1e6 / len(sent)


def _table(points: Sequence[Timed]) -> Table:
    score = find(RANKED_BY).title
    columns = (score, "training, CPU", "up and down, MB", *(f"at {speed} Mbit/s" for speed in LINKS))
    top = max(point.score.high for point in points)
    lines = []
    for point in points:
        times = [point.cpu, *(point.seconds(speed) for speed in LINKS)]
        first, *rest = (Cell(duration(seconds), number=seconds) for seconds in times)
        size = Cell(f"{point.megabytes:.1f}", number=point.megabytes)
        lines.append(line(point.row, [score_cell(point.score, top), first, size, *rest]))
    return Table(columns, tuple(lines))


def _chart(points: Sequence[Timed]) -> Chart:
    title = f"{find(RANKED_BY).title} against time"
    limits, front = possible_range(RANKED_BY), pareto(points, lambda one: one.seconds(LINK))
    y = score_axis([point.score for point in points], limits, 30)
    bottom = y.start
    times = [point.seconds(LINK) for point in points]
    x = Axis(min(times) / 1.5, max(times) * 1.5, LEFT, RIGHT, log=True)
    parts = [grid(LEFT, y.at(t), RIGHT, y.at(t)) + text_at(50, y.at(t) + 4, decimal(t), "end") for t in y.ticks()]
    parts += [_ticks(x, bottom), text_at(RIGHT, bottom + 38, "time of the whole run", "end")]
    parts.append(front_line([(x.at(p.seconds(LINK)), y.at(p.score.value)) for p in front], RIGHT))
    heights = spread([y.at(point.score.value) for point in points], bottom)
    parts += [_mark(point, point in front, x, y, label) for point, label in zip(points, heights, strict=True)]
    hours = [f"hours_at_{speed}_mbit_s" for speed in LINKS]
    header = ["algorithm", "cpu_s", "megabytes", *hours, "score", "low", "high"]
    numbers = [
        [p.row.algorithm, p.cpu, p.megabytes, *(p.seconds(s) / 3600 for s in LINKS), *value_and_ends(p.score)]
        for p in points
    ]
    text = f"At {LINK} Mbit/s not beaten by a faster row: " + "; ".join(_told(point) for point in front) + "."
    return Chart("time", title, picture("time", title, text, (780, bottom + 46), parts), csv_link(header, numbers))


def _ticks(x: Axis, bottom: float) -> Markup:
    """The script draws them again for another speed."""
    ticks = [tick for tick in TIMES if x.low <= tick <= x.high]
    texts = [text_at(x.at(tick), bottom + 18, duration(tick), "middle") for tick in ticks]
    group = Markup('<g class="times" data-start="{}" data-end="{}" data-y="{}" data-times="{}">{}</g>')
    return group.format(x.start, x.end, bottom + 18, " ".join(map(str, TIMES)), Markup("").join(texts))


def _mark(point: Timed, leads: bool, x: Axis, y: Axis, label: float) -> Markup:
    """A row's mark, which the script moves: its dot and whisker are drawn around 0."""
    across, height = x.at(point.seconds(LINK)), y.at(point.score.value)
    dot = Markup('<circle class="{}" cx="0" cy="{}" r="5"/>').format("dot" if leads else "dot hollow", height)
    moved = Markup('<g class="mark" transform="translate({} 0)" data-cpu="{:.6g}" data-mb="{:.6g}" data-y="{}">{}</g>')
    shown = lead(across + 6, height, label)
    bar = whisker(0, y.at(point.score.low), 0, y.at(point.score.high))
    shown += moved.format(across, point.cpu, point.megabytes, height, bar + dot)
    shown += text_at(LABELS, label + 4, f"{cut(point.row.algorithm)} {decimal(point.score.value)}")
    return of_row(point.row, _told(point), shown)


def _told(point: Timed) -> str:
    times = ", ".join(f"{duration(point.seconds(speed))} at {speed}" for speed in LINKS)
    return f"{point.row.algorithm}: {told_estimate(point.score)}; {times} Mbit/s"
