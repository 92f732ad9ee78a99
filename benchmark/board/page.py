"""The view model of boards: what a page shows, already decided and formatted. `view.py` fills it, templates lay it
out as Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Bar:
    """A value and the ends of its interval, in percent of the column's largest."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """A number as text, its interval as text ("" if none), the number for sorting, a bar where one is drawn, and the
    percent of its background's colour in a heat map."""

    text: str
    interval: str = ""
    number: float | None = None
    bar: Bar | None = None
    shade: float | None = None


@dataclass(frozen=True)
class Line:
    """A row of a table. trivial: reads no film or was never trained. noted: the note on FedMRG applies to it. variant:
    of another algorithm's method. tied: not distinguishable from the first row. origin: the id of its `Origin`."""

    name: str
    trivial: bool
    noted: bool
    cells: tuple[Cell, ...]
    variant: bool = False
    tied: bool = False
    origin: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under column titles (the first column, the algorithm, has none). title: "" continues the table before.
    fixed: columns that do not sort, since nothing is to be ranked by them. csv: its numbers as a data: address, or ""
    if none is offered."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    title: str = ""
    note: str = ""
    fixed: tuple[str, ...] = ()
    csv: str = ""


@dataclass(frozen=True)
class Chart:
    """A picture as inline SVG, which holds its own text alternative, and its numbers as a data: address of a CSV file
    called `name`.csv."""

    name: str
    title: str
    svg: Markup
    csv: str


@dataclass(frozen=True)
class Section:
    """A heading with a paragraph (or ""), tables, charts and a list. short: also part of the Markdown page.

    speeds: of a link in Mbit/s, of which the reader chooses the one that the chart is drawn for; `speed` comes first.
    """

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    items: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    short: bool = False
    speeds: tuple[int, ...] = ()
    speed: int = 0


@dataclass(frozen=True)
class Run:
    """A result file behind a row. link: its address from the folder of the HTML pages. command: what runs it again."""

    seed: int
    file: str
    link: str
    commit: str
    command: str


@dataclass(frozen=True)
class Origin:
    """Where a row comes from. key: its id on the page; line: the row, without cells."""

    key: str
    line: Line
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Page:
    """One board. notes: what must be known before a number is read; method: how the numbers were made. slug: the name
    of its files, without the extension."""

    title: str
    slug: str
    notes: tuple[str, ...]
    method: tuple[str, ...]
    footnote: str
    sections: tuple[Section, ...]
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One board in the index. leaders: for each of the index's columns. ties: the rows that are not distinguishable
    from the first, or ""."""

    split: str
    preset: str
    slug: str
    rows: int
    draws: int
    leaders: tuple[str, ...]
    ties: str


@dataclass(frozen=True)
class Index:
    """All boards; columns: titles of the scores with a leader; `note` if there is no board."""

    columns: tuple[str, ...]
    entries: tuple[Entry, ...]
    note: str
