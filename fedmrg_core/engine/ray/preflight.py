"""Checks on every node of a cluster before training starts: same software, and data and base under the same path."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.cache.films import SHARD_FILMS
from fedmrg_core.engine.base_cache import FACTS, check_base
from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.engine.ray.placement import ask_nodes
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.errors import FedMRGError, first_line
from fedmrg_core.hashes import core_sha256
from fedmrg_core.models.pretrained import check_checkpoints
from fedmrg_core.models.registry import get_language_model

PACKAGES = ("torch", "transformers", "peft", "numpy")
"""Packages whose versions can change bits, besides Python and this project's code."""
INSPECT_S = 180.0
"""Longest wait for a node's answer: imports from a slow network disk take a minute."""


@dataclass(frozen=True)
class NodeReport:
    """What a worker would find on a node. software: name -> version. machine: system and processor. unreadable: why
    something cannot be opened, "" if all can. contents: hash of data and base."""

    software: dict[str, str]
    machine: str
    unreadable: str
    contents: str


def inspect_node(spec: WorkerSpec, machine: Callable[[], str] = platform.platform) -> NodeReport:
    """The report of the node that runs this."""
    why = unreadable(spec)
    return NodeReport(software(), machine(), why, "" if why else _contents(spec))


def unreadable(spec: WorkerSpec) -> str:
    """Why a worker cannot open its data or base here; "" if it can."""
    try:
        federation = Federation.open(spec.federation)
        federation.images(np.arange(0, len(federation), SHARD_FILMS))  # one image of each shard
        check_base(Path(spec.base))
        get_language_model(spec.model.lm).tokenizer(spec.model, Path(spec.base))
        check_checkpoints(spec.model.encoder, spec.model.lm)
    except Exception as error:
        return _cause(error)
    return ""


def software() -> dict[str, str]:
    """Versions of everything that can change bits; for this project's code the start of its hash, since a node's copy
    may be an old one."""
    found = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    return {**found, "code": core_sha256()[:8]}


def check_nodes(
    spec: WorkerSpec,
    config: PoolConfig,
    machine: Callable[[], str] = platform.platform,
    inspect: Callable[[WorkerSpec, Callable[[], str]], NodeReport] = inspect_node,
) -> str:
    """Compare every node that takes actors with this process. Returns a warning, or "".

    Raises FedMRGError that names the first unfit node and says what to do.
    """
    here = inspect(spec, machine)
    found = ask_nodes(partial(inspect, spec, machine), config, min(INSPECT_S, config.wait_s))
    unfit = [(node, why) for node, report in found if (why := _difference(here, report))]
    if unfit:
        more = f" ({len(unfit) - 1} more nodes are unfit)" if len(unfit) > 1 else ""
        raise FedMRGError(f"node {unfit[0][0].name}: {unfit[0][1]}{more}")
    others = sorted({node.name for node, report in found if report.machine != here.machine})
    if not others:
        return ""
    return f"{', '.join(others)}: another processor than here, so a result's bits can depend on where a client ran"


def _difference(here: NodeReport, report: NodeReport | Exception) -> str:
    """Why a node is unfit and what to do, or ""."""
    if isinstance(report, Exception):
        advice = "start Ray there from the same environment as here, with this project installed"
        return f"cannot run a worker ({_cause(report)}): {advice}"
    other = [name for name in here.software if report.software.get(name) != here.software[name]]
    if other:
        pairs = [f"{name} {report.software.get(name) or 'missing'}, not {here.software[name]}" for name in other]
        return f"{', '.join(pairs)} as here: install the same versions there and start Ray from them"
    if report.unreadable:
        return f"{report.unreadable}: data, base and images must be under the same path there (shared folder or copy)"
    if report.contents != here.contents:
        return "data or base differ from those under the same path here: copy them again"
    return ""


def _contents(spec: WorkerSpec) -> str:
    """Hash over the federation's hashes and the base's description, which has the hash of each of its files."""
    federation, base = Federation.open(spec.federation), Path(spec.base)
    facts = (federation.data_sha256, federation.split_sha256, (base / FACTS).read_text())
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _cause(error: Exception) -> str:
    """An exception in one line; for one from another node, its cause."""
    cause = getattr(error, "cause", None)
    return _cause(cause) if isinstance(cause, Exception) else first_line(error, last=True)
