"""`runs/<run_id>/`: JSON lines that only grow, by whole lines, and files that appear whole or not at all.

These files are the source of truth of a run; MLflow (`tracking.py`) is a copy of them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmrg_core.files import replacing, write_atomic

if TYPE_CHECKING:
    import pandas as pd

CONFIG, ROUNDS, LEDGER, RESULT = "config.json", "rounds.jsonl", "ledger.jsonl", "result.json"
GENERATIONS, PER_STUDY = "generations.parquet", "per_study.parquet"
ARTIFACTS = (RESULT, ROUNDS, LEDGER, CONFIG, GENERATIONS, PER_STUDY)
"""The files of a finished run."""
PARTIAL = "generations.jsonl"
"""Reports generated so far, until `generations.parquet` is complete."""
CHECKPOINTS = "checkpoints"


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: numpy scalars and arrays become numbers and lists, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a line torn by a crash (the last, without its newline) is left out."""
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


class RunFolder:
    """`runs/<run_id>/`: `rounds.jsonl` and `ledger.jsonl` only grow, by whole lines; the other files appear whole."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def append_round(self, row: Mapping[str, Any]) -> None:
        """Add one round to `rounds.jsonl`; on disk when this returns. A round's ledger rows go first."""
        self._append(ROUNDS, [row])

    def append_ledger(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add {round, client, direction, group, bytes} rows to `ledger.jsonl`."""
        self._append(LEDGER, rows)

    def rounds(self) -> list[dict[str, Any]]:
        return read_lines(self.path / ROUNDS)

    def ledger(self) -> list[dict[str, Any]]:
        return read_lines(self.path / LEDGER)

    def result(self) -> dict[str, Any] | None:
        """The content of `result.json`, or None where the run has not ended."""
        path = self.path / RESULT
        return json.loads(path.read_text()) if path.exists() else None

    def finished(self) -> dict[str, Any] | None:
        """The result of a run that has finished; None of any other."""
        result = self.result()
        return result if result and result["status"] == "finished" else None

    def write_result(self, result: Mapping[str, Any]) -> None:
        write_atomic(self.path / RESULT, (json.dumps(plain(result), indent=1) + "\n").encode())

    def write_generations(self, frame: pd.DataFrame) -> None:
        """`generations.parquet`, whole; what a credentialed source may not show has to be blanked before."""
        with replacing(self.path / GENERATIONS) as temporary:
            frame.to_parquet(temporary, index=False)

    def truncate_to_round(self, n: int) -> None:
        """Drop the lines of rounds >= n, so that a resumed run's files equal those of one that was never killed."""
        for name in (ROUNDS, LEDGER):
            path = self.path / name
            if path.exists():
                kept = [row for row in read_lines(path) if row["round"] < n]
                write_atomic(path, b"".join(_line(row) for row in kept))

    def _append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        with (self.path / name).open("ab+") as file:
            _cut_torn_line(file)
            file.write(b"".join(_line(row) for row in rows))
            file.flush()
            os.fsync(file.fileno())


def _line(row: Mapping[str, Any]) -> bytes:
    return (json.dumps(plain(row), allow_nan=False) + "\n").encode()


def _cut_torn_line(file: Any) -> None:
    """Drop the tail that a crash left without a newline, so that the next line does not stick to it."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
