"""The 14 conditions out of a table's columns, or out of the report by the rule labeler."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from fedmrg_core.data.table import Table
from fedmrg_core.errors import DataError, one_line
from fedmrg_core.types import CONDITIONS, Labels, LabelState

_STATES = {
    "": LabelState.BLANK,
    "nan": LabelState.BLANK,
    "blank": LabelState.BLANK,
    "1": LabelState.POSITIVE,
    "positive": LabelState.POSITIVE,
    "0": LabelState.NEGATIVE,
    "negative": LabelState.NEGATIVE,
    "-1": LabelState.UNCERTAIN,
    "uncertain": LabelState.UNCERTAIN,
}


def state(value: str) -> int:
    """A CheXpert cell (1, 0, -1, blank, also as 1.0 or in words) as a LabelState. Raises ValueError."""
    text = value.strip().lower()
    text = text[:-2] if text.endswith(".0") else text
    if text not in _STATES:
        raise ValueError(f"label '{one_line(value)[:40]}' is none of 1, 0, -1 and blank")
    return int(_STATES[text])


def label_columns(table: Table) -> bool:
    """Whether the table has the 14 label columns. Raises DataError where it has some of them only."""
    there = [name for name in CONDITIONS if table.has(name)]
    if there and len(there) < len(CONDITIONS):
        missing = next(name for name in CONDITIONS if name not in there)
        near = get_close_matches(missing, [name for name in table.header if name not in CONDITIONS], n=1, cutoff=0.6)
        hint = f" (is '{one_line(near[0])}' meant?)" if near else ""
        raise DataError(f"{len(there)} of the 14 label columns exist, but not '{missing}'{hint}", table.file, 1)
    return bool(there)


def labels_of_row(cells: Sequence[str]) -> Labels:
    """14 cells in the order of CONDITIONS. Raises ValueError naming the condition."""
    states = []
    for name, cell in zip(CONDITIONS, cells, strict=True):
        try:
            states.append(state(cell))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return tuple(states)


def label_reports(reports: Sequence[str]) -> list[Labels]:
    """Labels of many reports by the rule labeler."""
    from fedmrg_core.metrics.labeler import label_many

    return [tuple(int(one) for one in labels) for labels in label_many(reports)]
