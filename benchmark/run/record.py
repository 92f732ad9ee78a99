"""What a run writes down: its result as it grows, the seconds of its stages, and its mirror in MLflow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.run.headline import of_round
from benchmark.run.interrupt import deferred_interrupt
from benchmark.run.mirror import feed
from fedmrg_core.runfolder import RunFolder
from fedmrg_core.tracking import Tracker

if TYPE_CHECKING:
    from fedmrg_core.data.cache.federation import Federation
    from fedmrg_core.metrics.scorecard import Scorecard


class Clock:
    """Seconds by stage, since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def total(self) -> float:
        return time.perf_counter() - self._start


@dataclass
class Record:
    """folder: the run's files. result: the content of result.json so far. late_failures: what went wrong after the last
    round. finished: result.json is written as finished and will not be written again."""

    folder: RunFolder
    result: dict[str, Any]
    clock: Clock
    tracker: Tracker | None
    late_failures: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False

    @property
    def run_id(self) -> str:
        return str(self.result["run_id"])

    def finish(self, card: Scorecard, params_sha256: str) -> None:
        """Write the result of a run that has its scores."""
        scores = {key: asdict(score) for key, score in card.scores.items()}
        self.result.update(status="finished", scores=scores, missing_metrics=card.missing, params_sha256=params_sha256)
        with deferred_interrupt():
            self._write()
            self.finished = True

    def stop(self, status: str, why: str) -> None:
        """Write what is known of a run that failed or was interrupted."""
        self.result.update(status=status, error=why, scores={})
        self._write()
        if self.tracker:
            self.tracker.finish(status)

    def complete_mirror(self, federation: Federation, export: Callable[[Path], bool]) -> None:
        """Give MLflow the scores, files and model of a finished run. Ctrl-C ends the wait, not the result."""
        if self.tracker is None:
            return
        try:
            feed(self.tracker, self.result, self.folder, lambda: federation, export)
            self.tracker.finish("finished")
        except (KeyboardInterrupt, Exception):  # a result is worth more than its mirror
            said = f"the run has finished; MLflow may lack a part of it: `fedmrg sync {self.run_id}` repairs it"
            print(f"fedmrg: {said}", file=sys.stderr)

    def _write(self) -> None:
        rows, provenance = self.folder.rounds(), self.result["provenance"]
        self.clock.seconds["total"] = self.clock.total()
        self.result["communication"] = communication(self.folder.ledger())
        self.result["history"] = history(rows)
        self.result["failures"] = [failure for row in rows for failure in row["failures"]] + self.late_failures
        provenance["seconds"] = {name: round(value, 3) for name, value in self.clock.seconds.items()}
        provenance["client_seconds"] = round(sum(row["seconds"]["clients"] for row in rows), 3)
        provenance["client_cpu_seconds"] = round(sum(row["seconds"].get("clients_cpu", 0.0) for row in rows), 3)
        provenance["round_seconds"] = round(sum(row["seconds"]["total"] for row in rows), 3)
        self.folder.write_result(self.result)


def history(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Name -> [round from 1 on, value] of the numbers that have a curve; seconds, which tell nothing later, are left
    out."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in of_round(row).items():
            if name != "round_s":
                found.setdefault(name, []).append((int(row["round"]) + 1, float(f"{value:.6g}")))
    return found


def communication(ledger: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Bytes of the whole run, of each round, and of each group of what is sent."""
    rounds: dict[int, dict[str, int]] = {}
    groups: dict[str, dict[str, int]] = {"upload": {}, "download": {}}
    for row in ledger:
        entry = rounds.setdefault(row["round"], {"upload_bytes": 0, "download_bytes": 0})
        entry[f"{row['direction']}_bytes"] += row["bytes"]
        sent = groups[row["direction"]]
        sent[row["group"]] = sent.get(row["group"], 0) + row["bytes"]
    total = {key: sum(entry[key] for entry in rounds.values()) for key in ("upload_bytes", "download_bytes")}
    per_round = [{"round": number, **entry} for number, entry in sorted(rounds.items())]
    return {**total, "by_group": groups, "per_round": per_round}
