"""What MLflow is told of a run, as plain values, and names as MLflow takes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedmrg_core.errors import FedMRGError

RUN_TAG = "run_id"
"""The tag with the name of the run's folder, by which a run is found again."""
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as Markdown."""
KIND_TAG = "kind"
RUN, GROUP, HOSPITAL = "run", "group", "hospital"
"""Kinds of MLflow runs: one run of ours; the parent of those that differ in their seed only; a hospital of a run."""

MAX_NAME = 250
"""MLflow's limit for the name of a metric or parameter."""


class Deleted(FedMRGError):
    """The experiment exists in MLflow, but as deleted."""


@dataclass(frozen=True)
class Dataset:
    """Data that a run read. name, context: as MLflow shows them. digest: what is the same for equal data. source: where
    it is from, in words. profile: facts to show."""

    name: str
    digest: str
    context: str
    source: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """What MLflow shows of a run besides its numbers.

    run_id: of the run's folder. experiment: its name. name: the run's name in tables. group: the name of the parent
    that it shares with runs of other seeds; "" = it has none. note: Markdown. experiment_tags: saved views and such,
    replaced where they differ. experiment_note: Markdown, for a new experiment only, since users may edit it.
    system: log the machine's load beside the run, if psutil is installed.
    """

    run_id: str
    experiment: str
    name: str = ""
    group: str = ""
    note: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    experiment_tags: Mapping[str, str] = field(default_factory=dict)
    experiment_note: str = ""
    datasets: Sequence[Dataset] = ()
    system: bool = False


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


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as MLflow params: `{"train": {"lr": 1}}` -> `{"train.lr": "1"}`."""
    params = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            params.update(flatten(value, f"{prefix}{key}."))
        else:
            params[metric_name(f"{prefix}{key}")] = str(value)
    return params
