"""Boards as static pages: tables that sort, intervals as bars, light and dark, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from benchmark.board.columns import (
    COST_TITLES,
    DIFFERENCE_VIEWS,
    FORMALISATION,
    HEAD_ABOUT,
    HEAD_METRICS,
    INTERVALS,
    METRICS,
    VIEWS,
    about,
    between,
    cost,
    differences_about,
    gap_between,
    number,
    signed,
    titled,
)
from benchmark.board.differences import Gap, gaps, reference
from benchmark.board.results import Board, Cell, Row

HERE = Path(__file__).parent


def board_page(board: Board) -> str:
    """One board's page."""
    body = [
        '<p><a href="index.html">all boards</a></p>',
        f"<h1>{escape(board.split)}</h1>",
        f'<p class="soft">preset {escape(board.preset)}, {escape(about(board))}. {INTERVALS}</p>',
    ]
    if any(titled(row.algorithm).noted for row in board.rows):
        body.append(f"<p>* fedmrg: {escape(FORMALISATION)}.</p>")
    for view, title, meaning in VIEWS:
        body += [f"<h2>{title}</h2>", f'<p class="soft">{meaning}</p>', _scores(board.rows, view, METRICS)]
    body += _heads(board) + _differences(board)
    body += ["<h2>Costs</h2>", _costs(board.rows), *_leftovers(board)]
    return _page(f"{board.split}, {board.preset}: fedmrg", body)


def index_page(boards: Sequence[Board]) -> str:
    """The page that lists all boards."""
    body = [
        "<h1>fedmrg boards</h1>",
        '<p class="soft">Federated medical report generation, algorithm by algorithm.</p>',
    ]
    body += [
        f'<p><a href="{board.slug}.html">{escape(board.split)}</a> <span class="soft">preset {escape(board.preset)}, '
        f"{len(board.rows)} rows</span></p>"
        for board in boards
    ]
    return _page("fedmrg boards", body if boards else [*body, "<p>No result is committed yet.</p>"])


def _page(title: str, body: Iterable[str]) -> str:
    css = (HERE / "board.css").read_text()
    return Template((HERE / "board.html").read_text()).substitute(title=escape(title), css=css, body="\n".join(body))


def _scores(rows: Sequence[Row], view: str, metrics: Sequence[tuple[str, str]]) -> str:
    tops = {metric: _top(rows, f"{view}/{metric}") for metric, _ in metrics}
    lines = [
        _line(row, [_bar(row.cells.get(f"{view}/{metric}"), tops[metric]) for metric, _ in metrics]) for row in rows
    ]
    return _table([title for _, title in metrics], lines)


def _heads(board: Board) -> list[str]:
    """The diagnosis head beside the text, of the rows that have one."""
    body = []
    for view, title, _ in DIFFERENCE_VIEWS:
        rows = [row for row in board.rows if f"{view}/head_f1_micro14" in row.cells]
        body += [f"<h3>{title}</h3>", _scores(rows, view, HEAD_METRICS)] if rows else []
    about_it = f'<p class="soft">{HEAD_ABOUT}</p>'
    return ["<h2>The diagnosis head beside the text</h2>", about_it, *body] if body else []


def _differences(board: Board) -> list[str]:
    """Differences from the reference row; nothing where no row has two seeds in common with it."""
    base, body = reference(board), []
    for view, title, _ in DIFFERENCE_VIEWS:
        found = {metric: gaps(board, f"{view}/{metric}") for metric, _ in METRICS}
        rows = [row for row in board.rows if any(row.algorithm in column for column in found.values())]
        if base and rows:
            lines = [_line(row, [_gap(found[metric].get(row.algorithm)) for metric, _ in METRICS]) for row in rows]
            body += [f"<h3>{title}</h3>", _table([title for _, title in METRICS], lines)]
    if not base or not body:
        return []
    about_them = differences_about(base.algorithm).replace("`", "")
    return [f"<h2>Differences from {escape(base.algorithm)}</h2>", f'<p class="soft">{about_them}</p>', *body]


def _gap(gap: Gap | None) -> str:
    if gap is None:
        return '<td><span class="soft">-</span></td>'
    return f'<td data-v="{gap.value:.6f}">{signed(gap)} <small>{gap_between(gap)}</small></td>'


def _top(rows: Sequence[Row], key: str) -> float:
    """The end of a column's bars: the highest end of an interval."""
    return max((row.cells[key].high for row in rows if key in row.cells), default=1.0) or 1.0


def _bar(cell: Cell | None, top: float) -> str:
    if cell is None:
        return '<td><span class="soft">-</span></td>'
    v, low, high = (min(100.0, max(0.0, 100 * x / top)) for x in (cell.value, cell.low, cell.high))
    style = f"--v:{v:.1f};--l:{low:.1f};--h:{high:.1f}"
    return (
        f'<td data-v="{cell.value:.6f}">{number(cell)} <small>{between(cell)}</small>'
        f'<div class="bar" style="{style}"><i></i><b></b></div></td>'
    )


def _costs(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        cells = [row.cells.get(key) for key, _ in COST_TITLES]
        tds = [f'<td data-v="{c.value:.6f}">{cost(c)}</td>' if c else "<td>-</td>" for c in cells]
        lines.append(_line(row, [*tds, f'<td data-v="{len(row.seeds)}">{len(row.seeds)}</td>']))
    return _table([*(title for _, title in COST_TITLES), "seeds"], lines)


def _line(row: Row, cells: Iterable[str]) -> str:
    title = titled(row.algorithm)
    name = f'<td data-v="{escape(title.text)}">{escape(title.text)}{"*" if title.noted else ""}</td>'
    return f"<tr{' class=trivial' if row.trivial else ''}>{name}{''.join(cells)}</tr>"


def _table(titles: Iterable[str], lines: Iterable[str]) -> str:
    head = "".join(f'<th scope="col"><button type="button">{title}</button></th>' for title in ("algorithm", *titles))
    rows = "\n".join(lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>'


def _leftovers(board: Board) -> list[str]:
    body = []
    for title, results in (("Failed runs", board.failed), ("Not comparable with the rows above", board.apart)):
        if results:
            names = ", ".join(escape(f"{r['algorithm']} seed {r['seed']}") for r in results)
            body += [f"<h2>{title}</h2>", f"<p>{names}</p>"]
    return body
