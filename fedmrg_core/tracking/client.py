"""MLflow's client, its stores, and the experiments in them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmrg_core.tracking.content import NOTE, Deleted, Description


def quiet_client(uri: str) -> Any:
    """An MLflow client without telemetry and without the log of how it makes its tables."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # standard output is the user's
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its default keeps a dead server waiting for minutes
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic", "alembic.runtime.migration", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).disabled = name.startswith("alembic")
    return MlflowClient(tracking_uri=uri)


def open_experiment(client: Any, run: Description, uri: str) -> str:
    """The id of the run's experiment, made if it is new, with the run's tags of it. Raises Deleted."""
    found = client.get_experiment_by_name(run.experiment) or _new_experiment(client, run, uri)
    if found.lifecycle_stage == "deleted":
        raise Deleted(f"the experiment '{run.experiment}' (id {found.experiment_id}) is deleted")
    for key, value in run.experiment_tags.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def _new_experiment(client: Any, run: Description, uri: str) -> Any:
    """A sqlite store has its artefacts beside it; of a server, another machine may have been faster."""
    from mlflow.exceptions import MlflowException

    beside = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts" if uri.startswith("sqlite:///") else None
    note = {NOTE: run.experiment_note} if run.experiment_note else {}
    try:
        client.create_experiment(run.experiment, beside.resolve().as_uri() if beside else None, note)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.get_experiment_by_name(run.experiment)


@dataclass(frozen=True)
class Experiment:
    """An experiment in a store. updated: ms since 1970, of the last change."""

    id: str
    name: str
    tags: Mapping[str, str]
    updated: int


def experiments(uri: str) -> list[Experiment]:
    """The experiments of a store that hold runs of ours or others, the one with the newest run first."""
    with creation_lock(uri):
        client = quiet_client(uri)
    found = []
    for one in client.search_experiments():
        runs = client.search_runs([one.experiment_id], max_results=1)
        if runs:
            found.append(Experiment(str(one.experiment_id), one.name, one.tags, int(runs[0].info.start_time)))
    return sorted(found, key=lambda experiment: -experiment.updated)


@contextlib.contextmanager
def creation_lock(uri: str) -> Iterator[None]:
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
