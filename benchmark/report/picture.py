"""The boards' picture for the README: every row's scores with their intervals, drawn from committed results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.report.columns import titled
from benchmark.results import Board, Cell, Row

PANELS = (
    ("test/personal/ce_f1_micro14", "CE F1 micro, own hospitals"),
    ("test/personal/bleu4", "BLEU-4, own hospitals"),
    ("unseen/global/ce_f1_micro14", "CE F1 micro, unseen hospitals"),
)
TRAINED, PLAIN, INK = "#1f6f8b", "#b9bec4", "#2b2f33"


def draw(board: Board, path: Path) -> None:
    """Write `path` (PNG), without a date in it: the same results give the same picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = list(reversed(board.rows))
    with pyplot.rc_context({"font.size": 9, "axes.edgecolor": PLAIN, "text.color": INK, "xtick.color": INK}):
        figure, axes = pyplot.subplots(1, len(PANELS), figsize=(10, 1.1 + 0.32 * len(rows)), sharey=True)
        for axis, (key, title) in zip(axes, PANELS, strict=True):
            _panel(axis, rows, key, title)
        axes[0].set_yticks(range(len(rows)), [_label(row) for row in rows])
        seeds = sorted({len(row.seeds) for row in rows})
        figure.suptitle(
            f"{board.split}, preset {board.preset}, {'/'.join(map(str, seeds))} seed(s), 95 % intervals", fontsize=9
        )
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130, metadata={"Software": None})
        pyplot.close(figure)


def _label(row: Row) -> str:
    title = titled(row.algorithm)
    return f"{title.text}*" if title.noted else title.text


def _panel(axis: Any, rows: list[Row], key: str, title: str) -> None:
    for place, row in enumerate(rows):
        cell = row.cells.get(key)
        if cell is not None:
            _bar(axis, place, cell, PLAIN if row.trivial else TRAINED)
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlim(left=0)
    axis.tick_params(length=0)
    axis.grid(axis="x", color="#e6e8ea", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _bar(axis: Any, place: int, cell: Cell, colour: str) -> None:
    axis.barh(place, cell.value, height=0.62, color=colour, alpha=0.85)
    axis.plot([max(0.0, cell.low), cell.high], [place, place], color=INK, linewidth=1.2)
    axis.text(cell.high, place, f"  {cell.value:.3f}", va="center", fontsize=7.5)
