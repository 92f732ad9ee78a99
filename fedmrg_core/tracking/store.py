"""What is written of a run into MLflow.

An experiment holds, per algorithm, a parent run with the means over seeds; under it the runs; under each run one run
per hospital.
"""

from __future__ import annotations

import getpass
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fedmrg_core.tracking.client import creation_lock, open_experiment, quiet_client
from fedmrg_core.tracking.content import (
    GROUP,
    HOSPITAL,
    KIND_TAG,
    NOTE,
    RUN,
    RUN_TAG,
    Dataset,
    Description,
    metric_name,
)

STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
PARENT, TABLES = "mlflow.parentRunId", "mlflow.loggedArtifacts"
"""Tags that MLflow's own pages read."""
SAMPLED_S = 10.0
"""Seconds between two samples of the machine's load."""


class Writer:
    """One run of ours in MLflow; all calls from one thread."""

    def __init__(self, uri: str) -> None:
        with creation_lock(uri):
            self.client = quiet_client(uri)
        self.uri = uri
        self.run = self.group = self.name = ""
        self.experiment = ""
        self.steps: dict[str, dict[str, set[int]]] | None = None
        self._monitor: Any = None

    def open(self, run: Description, resume: bool) -> None:
        """Find or make the experiment, the parent run and the run."""
        with creation_lock(self.uri):
            self.experiment = open_experiment(self.client, run, self.uri)
            self.group = self._group(run) if run.group else ""
        found = self._find(f"tags.{RUN_TAG} = '{run.run_id}'") if resume else []
        self.name = run.name or run.run_id
        tags = {**run.tags, RUN_TAG: run.run_id, KIND_TAG: RUN, "mlflow.user": _user()}
        tags |= {PARENT: self.group} if self.group else {}
        known: set[str] = set()
        if found:
            self.run, known, self.steps = found[0].info.run_id, set(found[0].data.params), {}
            self.client.update_run(self.run, status=STATUS["running"], name=self.name)
            self.tags(tags, run.note)
        else:
            tags |= {NOTE: run.note} if run.note else {}
            made = self.client.create_run(self.experiment, run_name=self.name, tags=tags)
            self.run = made.info.run_id
        self._params({key: value for key, value in run.params.items() if key not in known})
        self._inputs(run.datasets)
        self._monitor = _monitor(self.run, self.uri, bool(found)) if run.system else None

    def _find(self, query: str, most: int = 1) -> list[Any]:
        return list(self.client.search_runs([self.experiment], query, max_results=most))

    def _group(self, run: Description) -> str:
        """The id of the parent of all seeds. It is made as finished: it does nothing itself."""
        if known := self._groups(run.group):
            return known[0]
        tags = {KIND_TAG: GROUP, GROUP: run.group}
        made = self.client.create_run(self.experiment, run_name=run.group, tags=tags).info.run_id
        self.client.set_terminated(made, status=STATUS["finished"])
        first = self._groups(run.group)[0]
        if first != made:  # another machine was faster
            self.client.delete_run(made)
        return first

    def _groups(self, name: str) -> list[str]:
        query = f"tags.{KIND_TAG} = '{GROUP}' and tags.{GROUP} = '{name}'"
        oldest = ["attributes.start_time ASC", "attributes.run_id ASC"]
        return [run.info.run_id for run in self.client.search_runs([self.experiment], query, order_by=oldest)]

    def _params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(metric_name(key), str(value)[:6000]) for key, value in params.items()]
        for part in _parts(entries, 100):  # MLflow's limit per batch
            self.client.log_batch(self.run, params=part)

    def _inputs(self, datasets: Sequence[Dataset]) -> None:
        from mlflow import entities

        inputs = []
        for data in datasets:
            profile = json.dumps(dict(data.profile))
            source = json.dumps({"uri": data.source})
            known = entities.Dataset(data.name, data.digest[:36], "local", source, profile=profile)
            inputs.append(entities.DatasetInput(known, [entities.InputTag("mlflow.data.context", data.context)]))
        if inputs:
            self.client.log_inputs(self.run, inputs)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of the run at a step."""
        self._metrics(self.run, step, values)

    def _metrics(self, run: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        entries = [Metric(key, float(v), now, step) for key, v in values.items() if not self._has(run, key, step)]
        for part in _parts(entries, 1000):
            self.client.log_batch(run, metrics=part)

    def _has(self, run: str, key: str, step: int) -> bool:
        """Whether a re-entered run has this number already: a resumed run repeats its last rounds."""
        if self.steps is None:
            return False
        steps = self.steps.setdefault(run, {})
        if key not in steps:
            steps[key] = {metric.step for metric in self.client.get_metric_history(run, key)}
        return step in steps[key]

    def hospitals(self, step: int, values: Mapping[str, Mapping[str, float]]) -> None:
        """Numbers of each hospital, in a run nested below this one."""
        nested = self._find(f"tags.{KIND_TAG} = '{HOSPITAL}' and tags.`{PARENT}` = '{self.run}'", 1000)
        known = {run.data.tags.get(HOSPITAL): run.info.run_id for run in nested}
        for name, own in values.items():
            run = known.get(name)
            if run is None:
                tags = {KIND_TAG: HOSPITAL, HOSPITAL: name, PARENT: self.run, "mlflow.user": _user()}
                run = self.client.create_run(self.experiment, run_name=f"{name} {self.name}", tags=tags).info.run_id
                self.client.set_terminated(run, status=STATUS["finished"])
            self._metrics(run, step, own)

    def tags(self, tags: Mapping[str, str], note: str = "") -> None:
        """Set tags, and the note."""
        from mlflow.entities import RunTag

        given = {**tags, **({NOTE: note} if note else {})}
        self.client.log_batch(self.run, tags=[RunTag(key, value) for key, value in given.items()])

    def table(self, columns: Callable[[], Mapping[str, Sequence[Any]]], name: str) -> None:
        """A table that MLflow shows over several runs; written once, since MLflow would append to it."""
        if name in self.client.get_run(self.run).data.tags.get(TABLES, ""):
            return
        import mlflow

        shown = {
            key: [mlflow.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in column]
            for key, column in columns().items()
        }
        if shown:
            self.client.log_table(self.run, shown, name)

    def artifacts(self, files: Sequence[Path], folder: str = "") -> None:
        """Copy files that exist."""
        for file in files:
            if file.exists():
                self.client.log_artifact(self.run, str(file), folder or None)

    def pictures(self, pictures: Mapping[str, bytes], folder: str) -> None:
        """Write PNGs into the run's artefacts."""
        with tempfile.TemporaryDirectory() as place:
            for name, png in pictures.items():
                (path := Path(place, name)).write_bytes(png)
                self.client.log_artifact(self.run, str(path), folder)

    def model(self, name: str, write: Callable[[Path], bool]) -> None:
        """A logged model of this run, unless it has one; `write` may find that there is none."""
        query = f"source_run_id = '{self.run}'"
        if self.client.search_logged_models([self.experiment], query, max_results=1):
            return
        with tempfile.TemporaryDirectory() as folder:
            if not write(Path(folder)):
                return
            made = self.client.create_logged_model(self.experiment, name, self.run)
            self.client.log_model_artifacts(made.model_id, folder)
        self.client.finalize_logged_model(made.model_id, "READY")

    def close(self, status: str) -> None:
        """End the run, and bring the means of its group up to date."""
        if self._monitor is not None:
            self._monitor.finish()
        self.tags({"status": status})
        self.client.set_terminated(self.run, status=STATUS.get(status, "FAILED"))
        if self.group and status == "finished":
            self._means()

    def _means(self) -> None:
        """The group's metrics: means over the newest finished run of each seed, and how many there are."""
        query = f"tags.`{PARENT}` = '{self.group}' and attributes.status = 'FINISHED'"
        newest: dict[str, dict[str, float]] = {}
        for run in self._find(query, 1000):  # newest first
            newest.setdefault(run.data.tags.get("seed", ""), run.data.metrics)
        names = sorted({key for metrics in newest.values() for key in metrics if not key.startswith("system/")})
        values = {key: [own[key] for own in newest.values() if key in own] for key in names}
        means = {key: round(sum(own) / len(own), 4) for key, own in values.items()}
        steps, self.steps = self.steps, None
        self._metrics(self.group, 0, {**means, "seeds": float(len(newest))})
        self.steps = steps


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def _monitor(run: str, uri: str, resume: bool) -> Any:
    """MLflow's own sampling of the machine's load; None where psutil is not installed."""
    if find_spec("psutil") is None:
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run, SAMPLED_S, resume_logging=resume, tracking_uri=uri)
    monitor.start()
    return monitor
