"""Mirrors a run to MLflow, from a background thread: a slow or broken MLflow neither delays nor stops a run.

The run's folder (`runfolder.py`, JSON lines) stays the source of truth; `fedmrg sync RUN_ID` repairs MLflow from it.
Only this file imports mlflow.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fedmrg_core.errors import FedMRGError, one_line
from fedmrg_core.runfolder import RunFolder, read_lines

__all__ = ["RunFolder", "Tracker", "describe", "read_lines", "round_metrics", "score_metrics"]

RUN_TAG = "run_id"
STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


MAX_NAME = 250
"""MLflow's limit for the name of a metric or parameter."""


def metric_name(name: str) -> str:
    """`name` as MLflow takes it: other characters become `_`, path parts such as `..` too, and a long name is cut. A
    changed name ends in a part of its hash, so that distinct names stay distinct.

    >>> metric_name("test/personal/h03/bleu4"), metric_name("p@k=5")
    ('test/personal/h03/bleu4', 'p_k_5_16249a')
    """
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    clean = "/".join("_" if part in ("", ".", "..") else part for part in parts)
    if clean == name and len(name) <= MAX_NAME:
        return name
    return f"{clean[: MAX_NAME - 7]}_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:6]}"


def round_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a `rounds.jsonl` row by MLflow name. Names of nested tables are joined by `/`; lists and texts are
    left out."""
    metrics = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            metrics.update({f"{key}/{name}": number for name, number in round_metrics(value).items()})
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and key != "round":
            metrics[metric_name(key)] = float(value)
    return metrics


def score_metrics(scores: Mapping[str, Any]) -> dict[str, float]:
    """Key -> value, from `Score` objects, from their dictionaries in `result.json`, or from plain numbers."""
    values = {
        key: score["value"] if isinstance(score, Mapping) else getattr(score, "value", score)
        for key, score in scores.items()
    }
    return {metric_name(key): float(value) for key, value in values.items() if value is not None}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as MLflow params: `{"train": {"lr": 1}}` -> `{"train.lr": "1"}`."""
    params = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            params.update(flatten(value, f"{prefix}{key}."))
        else:
            params[metric_name(f"{prefix}{key}")] = str(value)
    return params


def describe(run: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Tracker.start` for a run, from keys that a result always has: run_id, algorithm, split, preset,
    seed, config and, if known, provenance."""
    tags = {key: str(run[key]) for key in ("algorithm", "split", "preset", "seed")}
    provenance = run.get("provenance", {})
    tags.update({key: str(provenance[key]) for key in ("git_sha", "dirty", "device") if key in provenance})
    return {
        "run_id": run["run_id"],
        "experiment": f"{run['split']} {run['preset']}",
        "params": flatten(run["config"]),
        "tags": tags,
    }


def default_uri(root: Path | None = None) -> str:
    """MLFLOW_TRACKING_URI, or `mlflow.db` in `root` (the working directory)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root or Path.cwd()).resolve() / 'mlflow.db'}"


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
        self._queue: queue.Queue[Callable[[_Writer], None] | None] = queue.Queue(capacity)
        self._thread: threading.Thread | None = None
        self._run_id = ""

    def start(
        self, run_id: str, experiment: str, params: Mapping[str, Any], tags: Mapping[str, str], resume: bool = False
    ) -> None:
        """Open a new MLflow run with the tag `run_id`; with `resume`, the existing one if there is one."""
        self._run_id = run_id
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._put(lambda writer: writer.open(run_id, experiment, params, tags, resume))
        self._thread.start()

    def log_round(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics of one round; a nested `rounds.jsonl` row may be given as it is."""
        values = round_metrics(metrics)
        self._put(lambda writer: writer.metrics(step, values))

    def log_scores(self, step: int, scores: Mapping[str, Any]) -> None:
        """The final scores by key (`test/personal/bleu4`), at the step of the last round."""
        values = score_metrics(scores)
        self._put(lambda writer: writer.metrics(step, values))

    def log_artifacts(self, paths: Iterable[Path]) -> None:
        """Copy files into the MLflow run. Missing files are left out."""
        files = [Path(path) for path in paths]
        self._put(lambda writer: writer.artifacts(files))

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

    def _put(self, job: Callable[[_Writer], None] | None) -> None:
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self._warn("it is slower than the run", REPAIRED)

    def _work(self) -> None:
        writer: _Writer | None = None
        while (job := self._queue.get()) is not None:
            if self.failure:
                continue
            try:
                writer = writer or _Writer(self.uri)
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


class Deleted(FedMRGError):
    """The experiment exists in MLflow, but as deleted."""


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


class _Writer:
    """The calls of MLflow, all of them from one thread."""

    def __init__(self, uri: str) -> None:
        with _creation_lock(uri):
            self.client = _quiet_client(uri)
        self.uri = uri
        self.run = ""
        self.steps: dict[str, set[int]] | None = None

    def open(
        self, run_id: str, experiment: str, params: Mapping[str, Any], tags: Mapping[str, str], resume: bool
    ) -> None:
        with _creation_lock(self.uri):
            place = _experiment(self.client, experiment, self.uri)
        found = self.client.search_runs([place], f"tags.{RUN_TAG} = '{run_id}'", max_results=1) if resume else []
        known: set[str] = set()
        if found:
            self.run, known, self.steps = found[0].info.run_id, set(found[0].data.params), {}
            self.client.update_run(self.run, status=STATUS["running"])
        else:
            self.run = self.client.create_run(place, run_name=run_id, tags={**tags, RUN_TAG: run_id}).info.run_id
        self._params({key: value for key, value in params.items() if key not in known})

    def _params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(metric_name(key), str(value)[:6000]) for key, value in params.items()]
        for part in _parts(entries, 100):  # MLflow's limit a batch
            self.client.log_batch(self.run, params=part)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(key, value, now, step) for key, value in values.items() if not self._has(key, step)]
        for part in _parts(entries, 1000):
            self.client.log_batch(self.run, metrics=part)

    def _has(self, key: str, step: int) -> bool:
        """Whether a re-entered run has this number already: a resumed run repeats its last rounds."""
        if self.steps is None:
            return False
        if key not in self.steps:
            self.steps[key] = {metric.step for metric in self.client.get_metric_history(self.run, key)}
        return step in self.steps[key]

    def artifacts(self, files: list[Path]) -> None:
        for file in files:
            if file.exists():
                self.client.log_artifact(self.run, str(file))

    def close(self, status: str) -> None:
        self.client.set_terminated(self.run, status=STATUS.get(status, "FAILED"))


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _quiet_client(uri: str) -> Any:
    """An MLflow client without telemetry and without the log of how it makes its tables."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its default keeps a dead server waiting for minutes
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "alembic.runtime.migration", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).disabled = name.startswith("alembic")
    return MlflowClient(tracking_uri=uri)


def _experiment(client: Any, name: str, uri: str) -> str:
    """The id of the experiment, made if it is new; a sqlite store has its artefacts beside it. Raises Deleted."""
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "deleted":
        raise Deleted(f"the experiment '{name}' (id {found.experiment_id}) is deleted")
    if found:
        return str(found.experiment_id)
    beside = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" if uri.startswith("sqlite:///") else None
    return str(client.create_experiment(name, artifact_location=beside.resolve().as_uri() if beside else None))


@contextlib.contextmanager
def _creation_lock(uri: str) -> Iterator[None]:
    """Let one process at a time create a sqlite store and its experiments: MLflow's own set-up is not safe."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        fcntl = None  # type: ignore[assignment]
    if fcntl is None or not uri.startswith("sqlite:///"):
        yield
        return
    lock = Path(uri.removeprefix("sqlite:///") + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
