"""`runs/<run_id>/`: JSON lines that only grow, by whole lines, and files that appear whole or not at all.

These files are the source of truth of a run; MLflow (`tracking.py`) is a copy of them.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmrg_core.errors import DataError, FedMRGError, choose, first_line
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
ORIGIN = "origin.json"
"""What the run was begun with: hashes of data, split and base, and the code."""
LOCK = ".lock"
_log = logging.getLogger(__name__)
_BEGIN_AGAIN = "the run cannot be continued, begin it again"


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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises DataError in one line where the file is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", str(path)) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"is damaged: {first_line(error)}", str(path)) from None
    if not isinstance(found, dict):
        raise DataError("is damaged: no JSON object", str(path))
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, without a last line that a crash cut off (it has no newline).

    Raises DataError with the number of a damaged line.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().rpartition(b"\n")[0].splitlines(), 1):
        try:
            row = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number} is damaged: {first_line(error)}", str(path)) from None
        if line.strip() and not (isinstance(row, dict) and type(row.get("round")) is int):
            raise DataError(f"line {number} is damaged: it names no round", str(path))
        rows += [row] if row else []
    return rows


def run_folder(runs: Path, run_id: str) -> Path:
    """The folder of an existing run. Raises ConfigError where `run_id` is not the name of one: a path is refused."""
    known = sorted(path.parent.name for path in runs.glob(f"*/{CONFIG}"))
    return runs / choose("run", run_id, known)


class RunFolder:
    """`runs/<run_id>/`: `rounds.jsonl` and `ledger.jsonl` only grow, by whole lines; the other files appear whole.

    Only its owner can enter a new folder (mode 0700): checkpoints hold the clients' private states.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot be made: {error.strerror}", str(self.path)) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from running this run. Raises FedMRGError if one is running it."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / LOCK, timeout=0, thread_local=False)
        try:
            lock.acquire()
        except NotImplementedError:
            _log.warning("%s: this file system has no locks: do not run a run twice at once", self.path)
        except Timeout:
            raise FedMRGError(f"run {self.path.name} is being run by another process: wait or stop it") from None
        try:
            yield
        finally:
            lock.release()

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
        """The content of `result.json`, or None if the run has not ended."""
        path = self.path / RESULT
        try:
            return read_json(path) if path.exists() else None
        except DataError as error:
            raise DataError(f"{error}; {self._again()}") from None

    def finished(self) -> dict[str, Any] | None:
        """The result if the run has finished, else None. Raises DataError where it lacks what a result has."""
        result = self.result()
        if not result or result.get("status") != "finished":
            return None
        for key in ("run_id", "config", "scores", "provenance", "communication"):
            if key not in result:
                raise DataError(f"is damaged: it lacks '{key}'; {self._again()}", str(self.path / RESULT))
        return result

    def finished_result(self) -> dict[str, Any]:
        """The result, as `finished`. Raises FedMRGError, with what continues the run, where it has not finished."""
        result = self.finished()
        if result is None:
            run_id = self.path.name
            raise FedMRGError(f"run {run_id} is not finished; `fedmrg bench --resume {run_id}` continues it")
        return result

    def _again(self) -> str:
        return f"delete it, and `fedmrg bench --resume {self.path.name}` writes it again"

    def write_result(self, result: Mapping[str, Any]) -> None:
        write_atomic(self.path / RESULT, (json.dumps(plain(result), indent=1) + "\n").encode())

    def write_generations(self, frame: pd.DataFrame) -> None:
        """Write `generations.parquet`. The caller blanks what must not be shown."""
        with replacing(self.path / GENERATIONS) as temporary:
            frame.to_parquet(temporary, index=False)

    def truncate_to_round(self, n: int) -> None:
        """Drop the lines of rounds >= n, so that a resumed run's files equal those of one that was never killed."""
        for name in (ROUNDS, LEDGER):
            path = self.path / name
            if path.exists():
                kept = [row for row in read_lines(path) if row["round"] < n]
                write_atomic(path, b"".join(_line(row) for row in kept))

    def check_complete(self, rounds: int) -> None:
        """Raises DataError unless the lines of the first `rounds` rounds are complete: each round once, and in the
        ledger the bytes that the round's line names."""
        rows, sent = self.rounds(), Counter[tuple[int, str]]()
        for entry in self.ledger():
            size = entry.get("bytes")
            sent[entry["round"], str(entry.get("direction"))] += size if type(size) is int else 0
        for number in range(rounds):
            found = [row for row in rows if row["round"] == number]
            if len(found) != 1:
                raise DataError(f"has {len(found)} lines of round {number}: {_BEGIN_AGAIN}", str(self.path / ROUNDS))
            for direction in ("upload", "download"):
                if sent[number, direction] != found[0].get(f"{direction}_bytes", 0):
                    raise DataError(f"lacks lines of round {number}: {_BEGIN_AGAIN}", str(self.path / LEDGER))

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
