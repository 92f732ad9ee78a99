"""Pictures: a board's rows with their intervals, for the README; how much the hospitals of splits differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from benchmark.board.boards import Board
from benchmark.board.cells import is_noted
from benchmark.board.rows import Estimate, Row
from benchmark.board.view import preset_name

if TYPE_CHECKING:
    from fedmrg_core.data.describe import Measure

PANELS = (
    ("test/personal/ce_f1_micro14", "CE F1 micro, own hospitals"),
    ("test/personal/bleu4", "BLEU-4, own hospitals"),
    ("unseen/global/ce_f1_micro14", "CE F1 micro, unseen hospitals"),
)
TRAINED, PLAIN, INK = "#1f6f8b", "#b9bec4", "#2b2f33"


def board_picture(board: Board) -> bytes:
    """PNG of the rows with the most draws, without a date in it: the same results give the same picture."""
    rows = list(reversed(board.complete))
    title = f"{board.split}, preset {preset_name(board)}, {rows[0].draws} draw(s), 95 % intervals"
    with _picture(len(PANELS), [_label(row) for row in rows], title) as (axes, png):
        for axis, (key, name) in zip(axes, PANELS, strict=True):
            _panel(axis, rows, key, name)
    return png.getvalue()


def measures_picture(splits: Mapping[str, Sequence[Measure]]) -> bytes:
    """PNG: one panel per split, one bar per measure; the line goes from 0 to the largest random deal."""
    widest = max(one.value for measures in splits.values() for one in measures)
    names = [f"{one.name}, {one.unit}" for one in reversed(next(iter(splits.values())))]
    title = "how much the hospitals differ; black: the largest of the random deals"
    with _picture(len(splits), names, title) as (axes, png):
        for axis, (split, measures) in zip(axes, splits.items(), strict=True):
            for position, one in enumerate(reversed(measures)):
                _bar(axis, position, Estimate(one.value, 0.0, one.random_high, draws=1), TRAINED)
            _style(axis, split)
            axis.set_xlim(right=1.2 * widest)
    return png.getvalue()


@contextmanager
def _picture(panels: int, rows: Sequence[str], title: str) -> Iterator[tuple[Any, BytesIO]]:
    """Axes side by side over the same rows, and the PNG that they have become when the block ends."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    png = BytesIO()
    with pyplot.rc_context({"font.size": 9, "axes.edgecolor": PLAIN, "text.color": INK, "xtick.color": INK}):
        size = (10, 1.1 + 0.32 * len(rows))
        figure, axes = pyplot.subplots(1, panels, figsize=size, sharey=True, squeeze=False)
        yield axes[0], png
        axes[0][0].set_yticks(range(len(rows)), rows)
        figure.suptitle(title, fontsize=9)
        figure.tight_layout()
        figure.savefig(png, format="png", dpi=130, metadata={"Software": None})
        pyplot.close(figure)


def _label(row: Row) -> str:
    name = row.algorithm.replace("$", r"\$")  # two of them would begin and end a formula
    return f"{name}*" if is_noted(row.algorithm) else name


def _panel(axis: Any, rows: list[Row], key: str, title: str) -> None:
    for position, row in enumerate(rows):
        estimate = row.estimates.get(key)
        if estimate is not None:
            _bar(axis, position, estimate, PLAIN if row.trivial else TRAINED)
    _style(axis, title)


def _style(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlim(left=0)
    axis.tick_params(length=0)
    axis.grid(axis="x", color="#e6e8ea", linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _bar(axis: Any, position: int, estimate: Estimate, colour: str) -> None:
    axis.barh(position, estimate.value, height=0.62, color=colour, alpha=0.85)
    axis.plot([estimate.low, estimate.high], [position, position], color=INK, linewidth=1.2)
    axis.text(max(estimate.value, estimate.high), position, f"  {estimate.value:.3f}", va="center", fontsize=7.5)
