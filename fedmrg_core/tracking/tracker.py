"""Mirrors a run to MLflow, from a background thread: a slow or broken MLflow neither delays nor stops a run.

The run's folder (`runfolder.py`, JSON lines) stays the source of truth; `fedmrg sync RUN_ID` repairs MLflow from it.
"""

from __future__ import annotations

import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmrg_core.errors import one_line
from fedmrg_core.tracking.content import Deleted, Description

if TYPE_CHECKING:
    from fedmrg_core.tracking.store import Writer

Job = Callable[["Writer"], None]


def default_uri(root: Path | None = None) -> str:
    """MLFLOW_TRACKING_URI, or `mlflow.db` in `root` (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root or Path.cwd()).resolve() / 'mlflow.db'}"


def _writer(uri: str) -> Writer:
    """Opened in the background thread: importing mlflow takes seconds."""
    from fedmrg_core.tracking.store import Writer

    return Writer(uri)


class Tracker:
    """One MLflow run, fed from a background thread. No method raises; only `finish` waits for MLflow, for at most
    `patience` seconds. The run's folder holds everything that MLflow did not take.

    failure: why MLflow lacks a part of the run, and whether `fedmrg sync` can repair that; "" = it has everything.
    announce: print the failure on stderr as soon as it happens.
    """

    def __init__(
        self, uri: str | None = None, patience: float = 60.0, capacity: int = 10_000, announce: bool = True
    ) -> None:
        self.uri = uri or default_uri()
        self.failure = ""
        self._patience, self._announce = patience, announce
        self._queue: queue.Queue[Job | None] = queue.Queue(capacity)
        self._thread: threading.Thread | None = None
        self._run_id = ""

    def start(self, run: Description, resume: bool = False) -> None:
        """Open a new MLflow run; with `resume`, the existing one of this run id if there is one."""
        self._run_id = run.run_id
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._put(lambda writer: writer.open(run, resume))
        self._thread.start()

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their MLflow names (`metric_name`)."""
        self._put(lambda writer: writer.metrics(step, values))

    def log_hospitals(self, step: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """Numbers of each hospital, in a nested run of its own."""
        self._put(lambda writer: writer.hospitals(step, values))

    def set_tags(self, tags: Mapping[str, str], note: str = "") -> None:
        """Set tags, and the run's Markdown note."""
        self._put(lambda writer: writer.tags(tags, note))

    def log_table(self, columns: Callable[[], Mapping[str, Sequence[Any]]], name: str) -> None:
        """A table, made in the background, which MLflow shows side by side over runs; a uint8 array [h, w] is shown as
        a picture."""
        self._put(lambda writer: writer.table(columns, name))

    def log_artifacts(self, paths: Iterable[Path], folder: str = "") -> None:
        """Copy files into the MLflow run, or into a folder of its artefacts. Missing files are left out."""
        files = [Path(path) for path in paths]
        self._put(lambda writer: writer.artifacts(files, folder))

    def log_pictures(self, draw: Callable[[], Mapping[str, bytes]], folder: str) -> None:
        """PNGs by file name, drawn in the background."""
        self._put(lambda writer: writer.pictures(draw(), folder))

    def log_model(self, name: str, write: Callable[[Path], bool]) -> None:
        """A model, whose files `write` puts into an empty folder, in the background and once per run; False: none."""
        self._put(lambda writer: writer.model(name, write))

    def finish(self, status: str = "finished") -> bool:
        """Flush, and close the MLflow run as finished, failed or interrupted. True if MLflow took everything."""
        if self._thread is None:
            return False
        self._put(lambda writer: writer.close(status))
        self._put(None)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            self._warn(f"no answer within {self._patience:g} s", REPAIRED)
        return not self.failure

    def _put(self, job: Job | None) -> None:
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self._warn("it is slower than the run", REPAIRED)

    def _work(self) -> None:
        writer: Writer | None = None
        while (job := self._queue.get()) is not None:
            if self.failure:
                continue
            try:
                writer = writer or _writer(self.uri)
                job(writer)
            except Exception as error:  # whatever MLflow raises: a run is worth more than its mirror
                self._warn(*explain(error))

    def _warn(self, why: str, remedy: str) -> None:
        if self.failure:
            return
        self.failure = f"{why}; {remedy.format(run=self._run_id)}"
        if self._announce:
            print(f"fedmrg: MLflow lacks a part of this run: {self.failure}", file=sys.stderr)


REPAIRED = "`fedmrg sync {run}` repairs it when MLflow answers"
RESTORE = "restore it there, then `fedmrg sync {run}` repairs the run"
REFUSED = "`fedmrg sync` cannot repair that; the run's folder has everything"


def explain(error: Exception) -> tuple[str, str]:
    """What went wrong with MLflow, in one line, and what can be done."""
    text = one_line(" ".join(str(error).split()), 200) or type(error).__name__
    if isinstance(error, Deleted):
        return text, RESTORE
    if re.search(r"must be in (the )?'?active'? (lifecycle_)?state", text):
        return f"its run was deleted there ({text})", "`fedmrg sync {run}` enters it again"
    if getattr(error, "error_code", "") in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"):
        return f"it refuses a value ({text})", REFUSED
    return f"{type(error).__name__}: {text}", REPAIRED
