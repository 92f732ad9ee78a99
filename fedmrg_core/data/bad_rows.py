"""Bad rows: collected while a reader goes through a file, then either refused in one clear line or counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedmrg_core.errors import DataError

MAX_NAMED = 8
"""How many further bad rows the one-line message names."""


@dataclass
class BadRows:
    """The bad rows of one file.

    >>> bad = BadRows("manifest.csv")
    >>> bad.add("empty_report", 3, "the report is empty")
    >>> bad.settle("skip")
    {'bad_empty_report': 1}
    """

    file: str
    rows: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, reason: str, row: int, message: str) -> None:
        """Note a bad row: `reason` is its key in `left_out`, `row` counts records, the header being row 1."""
        self.rows.append((row, reason, message))

    def settle(self, on_bad: str) -> dict[str, int]:
        """Counts by reason where `on_bad` is "skip"; otherwise raises DataError naming the bad rows."""
        rows = sorted(self.rows)
        if rows and on_bad != "skip":
            row, _, message = rows[0]
            raise DataError(message + self._others(rows[1:]) + "; on_bad=skip leaves bad rows out", self.file, row)
        counts: dict[str, int] = {}
        for _, reason, _ in rows:
            counts[f"bad_{reason}"] = counts.get(f"bad_{reason}", 0) + 1
        return counts

    @staticmethod
    def _others(rows: list[tuple[int, str, str]]) -> str:
        if not rows:
            return ""
        named = ", ".join(f"{row} ({reason})" for row, reason, _ in rows[:MAX_NAMED])
        return f" (and {len(rows)} more bad rows: {named}{', ..' if len(rows) > MAX_NAMED else ''})"
