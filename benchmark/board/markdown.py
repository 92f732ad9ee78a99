"""A board as Markdown, and the index of all boards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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


def board_page(board: Board) -> str:
    """The whole page of one board."""
    parts = [f"# {board.split}, preset {board.preset}", _about(board)]
    for view, title, meaning in VIEWS:
        rows = [_scores(row, view) for row in board.rows]
        parts += [
            f"## {title}",
            f"{meaning[0].upper()}{meaning[1:]}.",
            _table([t for _, t in METRICS], board.rows, rows),
        ]
    parts += _heads(board) + _differences(board)
    costs = [[_cell(row.cells.get(key), cost) for key, _ in COST_TITLES] + [str(len(row.seeds))] for row in board.rows]
    parts += ["## Costs", _table([*(title for _, title in COST_TITLES), "seeds"], board.rows, costs)]
    parts += _leftovers(board)
    return "\n\n".join(parts) + "\n"


def index_page(boards: Sequence[Board]) -> str:
    """`leaderboards/README.md`."""
    parts = ["# Boards", "Made by `make leaderboard` from `results/` alone. A page with bars: `html/index.html`."]
    listed = [f"| [{b.split}]({b.slug}.md) | {b.preset} | {len(b.rows)} | {_leader(b)} |" for b in boards]
    head = ["| split | preset | rows | highest personal CE F1 micro |", "|---|---|---|---|"]
    parts.append("\n".join(head + listed) if boards else "No result is committed yet: `make suite` makes them.")
    parts.append("What did not work stands in [LOG.md](LOG.md).")
    return "\n\n".join(parts) + "\n"


def _about(board: Board) -> str:
    if not board.rows:
        return "No finished result yet."
    noted = f"\n\n\\* fedmrg: {FORMALISATION}." if any(titled(row.algorithm).noted for row in board.rows) else ""
    return f"{about(board)}. {INTERVALS}{noted}"


def _leader(board: Board) -> str:
    best = board.rows[0] if board.rows else None
    cell = best.cells.get("test/personal/ce_f1_micro14") if best else None
    return f"{best.algorithm} {number(cell)}" if best and cell else "-"


def _scores(row: Row, view: str) -> list[str]:
    return [_cell(row.cells.get(f"{view}/{metric}"), number) for metric, _ in METRICS]


def _heads(board: Board) -> list[str]:
    """The diagnosis head beside the text, of the rows that have one."""
    parts = []
    for view, title, _ in DIFFERENCE_VIEWS:
        rows = [row for row in board.rows if f"{view}/head_f1_micro14" in row.cells]
        cells = [[_cell(row.cells.get(f"{view}/{metric}"), number) for metric, _ in HEAD_METRICS] for row in rows]
        parts += [f"### {title}", _table([t for _, t in HEAD_METRICS], rows, cells)] if rows else []
    return ["## The diagnosis head beside the text", HEAD_ABOUT, *parts] if parts else []


def _differences(board: Board) -> list[str]:
    """Differences from the reference row; nothing where no row has two seeds in common with it."""
    base, parts = reference(board), []
    for view, title, _ in DIFFERENCE_VIEWS:
        found = {metric: gaps(board, f"{view}/{metric}") for metric, _ in METRICS}
        rows = [row for row in board.rows if any(row.algorithm in column for column in found.values())]
        if base and rows:
            cells = [[_gap(found[metric].get(row.algorithm)) for metric, _ in METRICS] for row in rows]
            parts += [f"### {title}", _table([t for _, t in METRICS], rows, cells)]
    if not base or not parts:
        return []
    return [f"## Differences from {base.algorithm}", differences_about(base.algorithm), *parts]


def _gap(gap: Gap | None) -> str:
    return f"{signed(gap)} <sub>{gap_between(gap)}</sub>" if gap else "-"


def _cell(cell: Cell | None, write: Callable[[Cell], str]) -> str:
    if cell is None:
        return "-"
    if write is cost or not between(cell):
        return write(cell)
    return f"{write(cell)} <sub>{between(cell)}</sub>"


def _table(titles: Iterable[str], rows: Sequence[Row], cells: Sequence[Sequence[str]]) -> str:
    lines = ["| | " + " | ".join(titles) + " |"]
    lines.append("|---" + "|---:" * (lines[0].count("|") - 2) + "|")
    lines += [f"| {_name(row)} | " + " | ".join(row_cells) + " |" for row, row_cells in zip(rows, cells, strict=True)]
    return "\n".join(lines)


def _name(row: Row) -> str:
    title = titled(row.algorithm)
    text = f"{title.text}\\*" if title.noted else title.text
    return f"*{text}*" if row.trivial else f"**{text}**"


def _leftovers(board: Board) -> list[str]:
    parts = []
    if board.failed:
        lines = [f"- {r['algorithm']}, seed {r['seed']}: {r['status']}: {_first_line(r)}" for r in board.failed]
        parts += ["## Failed runs", "\n".join(lines)]
    if board.apart:
        lines = [f"- {r['algorithm']}, seed {r['seed']} (bench_version {r.get('bench_version')})" for r in board.apart]
        parts += [
            "## Not comparable with the rows above",
            "Another bench_version, setting, metric version or data.",
            "\n".join(lines),
        ]
    return parts


def _first_line(result: dict[str, object]) -> str:
    return (str(result.get("error") or "no reason recorded").splitlines() or [""])[0][:200]
