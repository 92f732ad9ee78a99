"""The view model of boards: what a page shows, already decided and formatted. `view.py` fills it, templates lay it
out as Markdown and HTML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A value and the ends of its interval, in percent of the column's largest."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """A number as text, its interval as text ("" if none), the number for sorting, and a bar where one is drawn."""

    text: str
    interval: str = ""
    number: float | None = None
    bar: Bar | None = None


@dataclass(frozen=True)
class Line:
    """A row of a table. trivial: reads no film or was never trained. noted: the note on FedMRG applies to it."""

    name: str
    trivial: bool
    noted: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows under column titles (the first column, the algorithm, has none). title: "" continues the table before.
    fixed: columns that do not sort, since nothing is to be ranked by them."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    title: str = ""
    note: str = ""
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading with a paragraph (or ""), tables and a list."""

    title: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """One board."""

    title: str
    notes: tuple[str, ...]
    footnote: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Entry:
    """One board in the index."""

    split: str
    preset: str
    slug: str
    rows: int
    leader: str


@dataclass(frozen=True)
class Index:
    """All boards; `note` if there is no board."""

    entries: tuple[Entry, ...]
    note: str
