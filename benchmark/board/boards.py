"""Committed results grouped into boards: one per split, preset and overrides, with one row per algorithm.

A board ranks only results that compare (`comparable`); it lists the others with the reason. The seeds of an algorithm
become one row (`rows.py`): mean and 95 % interval over draws of data and base, and their patients.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from benchmark.board.comparable import Comparable, most_common, ranked, reason
from benchmark.board.resampling import Patients
from benchmark.board.results import Result, board_id, config_hash, digest, draw, overrides_hash, studies
from benchmark.board.rows import Row, ValuesOf, make_row
from fedmrg_core.metrics.catalogue import RANKED_BY


@dataclass(frozen=True)
class Board:
    """Everything committed for a split, a preset and a suite's overrides of it."""

    split: str
    preset: str
    overrides: tuple[str, ...]
    common: Comparable
    rows: tuple[Row, ...]
    """Ranked; rows of fewer draws than the others come last."""
    failed: tuple[Result, ...] = ()
    one_data: bool = False
    """All seeds share their studies, as on a real data set: they repeat the training, not the data."""
    incomparable: tuple[Result, ...] = ()
    """Finished results that differ in `Comparable`, or in the data or base of their seed."""
    reasons: tuple[str, ...] = ()
    """Why each of them does not compare."""
    note: str = ""
    """What must be said of it (`results.note`)."""

    @property
    def id(self) -> tuple[str, str, str]:
        """As of each of its results (`results.board_id`)."""
        return self.split, self.preset, overrides_hash({"overrides": self.overrides})

    @property
    def complete(self) -> tuple[Row, ...]:
        """The rows with the most draws."""
        return tuple(row for row in self.rows if row.draws == self.rows[0].draws)

    @property
    def slug(self) -> str:
        """The name of its pages, without the extension: one per board, and safe as a file name."""
        plain = f"{self.split.replace('/', '-')}--{self.preset}"
        if "-" in self.split or self.overrides or not re.fullmatch(r"[\w.-]+", plain, re.ASCII):
            key = digest([self.split, self.preset, sorted(self.overrides)])[:8]
            return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', plain)[:100]}--{key}"
        return plain


def boards(
    results: Iterable[Result],
    values_of: ValuesOf = lambda result: None,
    note_of: Callable[[Result], str] = lambda result: "",
) -> list[Board]:
    """One board per split, preset and overrides, ordered by name. The newest bench_version is ranked, and of that what
    most results have in common (`Comparable`). values_of: a result's per-study values, if it has any. note_of: what
    must be said of the board of a result."""
    groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
    for result in results:
        groups[board_id(result)].append(result)
    return [replace(_board(group, values_of), note=note_of(group[0])) for _, group in sorted(groups.items())]


def _board(group: Sequence[Result], values_of: ValuesOf) -> Board:
    finished = [result for result in group if result["status"] == "finished"]
    failed = tuple(result for result in group if result["status"] != "finished")
    common = most_common(finished)
    members = ranked(finished, common)
    others = tuple(result for result in finished if not any(result is member for member in members))
    one_draw = len({draw(result) for result in members}) == 1
    patients = Patients()
    rows = [make_row(*named, one_draw, values_of, patients) for named in _by_algorithm(members).items()]
    most = max((row.draws for row in rows), default=0)
    rows.sort(key=lambda row: (row.draws < most, *_rank(row)))  # draws differ in difficulty
    first = group[0]
    overrides = tuple(sorted(first.get("overrides", [])))
    why = tuple(reason(result, members) for result in others)
    one_data = len({studies(result) for result in members}) == 1
    return Board(first["split"], first["preset"], overrides, common, tuple(rows), failed, one_data, others, why)


def _by_algorithm(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results by row: the algorithm's name, with part of the config hash where a name has several configurations."""
    by_name: dict[str, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        by_name[result["algorithm"]][config_hash(result)].append(result)
    rows = {}
    for name, variants in by_name.items():
        for key, members in variants.items():
            rows[name if len(variants) == 1 else f"{name} ({key[:6]})"] = members
    return rows


def _rank(row: Row) -> tuple[float, str]:
    """Highest score first; rows without it last."""
    best = row.estimates.get(RANKED_BY)
    return (-best.value if best else math.inf, row.algorithm)
