"""What must hold on every node of a cluster before training starts: the same software, and data and base by path."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import fedmrg_core
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.cache.films import SHARD_FILMS
from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.engine.ray.placement import ask_nodes
from fedmrg_core.engine.worker import WorkerSpec
from fedmrg_core.errors import FedMRGError
from fedmrg_core.models.pretrained import check_checkpoints
from fedmrg_core.models.registry import get_language_model

PACKAGES = ("torch", "transformers", "peft", "numpy")
"""Whose versions decide bits, besides Python's and our own code."""
BASE_FILES = ("base.json", "base.safetensors", "tokenizer.json")
INSPECT_S = 180.0
"""Longest wait for a node's answer: imports from a cold network disk take a minute."""


@dataclass(frozen=True)
class NodeReport:
    """A node as a worker would find it. software: name -> version. machine: system and processor. unreadable: what
    cannot be opened and why, "" = nothing. contents: hash of what can be."""

    software: dict[str, str]
    machine: str
    unreadable: str
    contents: str


def inspect_node(spec: WorkerSpec, machine: Callable[[], str] = platform.platform) -> NodeReport:
    """What a worker with this spec would find where this is called."""
    why = unreadable(spec)
    return NodeReport(software(), machine(), why, "" if why else _contents(spec))


def unreadable(spec: WorkerSpec) -> str:
    """Why a worker could not open its data or base here; "" where it can."""
    try:
        federation = Federation.open(spec.federation)
        federation.images(np.arange(0, len(federation), SHARD_FILMS))  # one film of every shard
        (Path(spec.base) / "base.json").open("rb").close()
        get_language_model(spec.model.lm).tokenizer(spec.model, Path(spec.base))
        check_checkpoints(spec.model.encoder, spec.model.lm)
    except Exception as error:
        return _line(error)
    return ""


def software() -> dict[str, str]:
    """Versions of what decides bits; of our own code the first digits of its hash, since a copy may be stale."""
    found = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
    return {**found, "code": _code()[:8]}


def check_nodes(
    spec: WorkerSpec,
    config: PoolConfig,
    machine: Callable[[], str] = platform.platform,
    inspect: Callable[[WorkerSpec, Callable[[], str]], NodeReport] = inspect_node,
) -> str:
    """Look from every node that takes actors, and compare with what this process finds. Returns a warning, or "".

    Raises FedMRGError, one line that names the first node that will not do and says what to do.
    """
    here = inspect(spec, machine)
    found = ask_nodes(partial(inspect, spec, machine), config, min(INSPECT_S, config.wait_s))
    wrong = [(node, why) for node, seen in found if (why := _complaint(here, seen))]
    if wrong:
        more = f" ({len(wrong) - 1} more nodes have complaints)" if len(wrong) > 1 else ""
        raise FedMRGError(f"node {wrong[0][0].name}: {wrong[0][1]}{more}")
    others = sorted({node.name for node, seen in found if seen.machine != here.machine})
    if not others:
        return ""
    return f"other processors than here on {', '.join(others)}: a result's bits can depend on where a client ran"


def _complaint(here: NodeReport, seen: NodeReport | Exception) -> str:
    if isinstance(seen, Exception):
        advice = "start Ray there from the same environment as here, with this project installed in it"
        return f"cannot run a worker: {_line(seen)}: {advice}"
    other = [name for name in here.software if seen.software.get(name) != here.software[name]]
    if other:
        pairs = ", ".join(f"{name} {seen.software.get(name) or 'missing'}, not {here.software[name]}" for name in other)
        return f"{pairs} as here: install the same there and start Ray from it"
    if seen.unreadable:
        return f"{seen.unreadable}: data, base and films must lie under the same path there (a shared folder or a copy)"
    if seen.contents != here.contents:
        return "data or base differ from those under the same path here: copy them anew"
    return ""


def _contents(spec: WorkerSpec) -> str:
    """Hash of the federation's own hashes and of the base's description and its files' sizes."""
    federation, base = Federation.open(spec.federation), Path(spec.base)
    sizes = [(name, (base / name).stat().st_size) for name in BASE_FILES if (base / name).exists()]
    seen = (federation.data_sha256, federation.split_sha256, sizes, (base / "base.json").read_text())
    return hashlib.sha256(repr(seen).encode()).hexdigest()


def _code() -> str:
    """SHA-256 over this package's modules."""
    root = Path(os.path.dirname(fedmrg_core.__file__))
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _line(error: Exception) -> str:
    """An exception in one line; of a remote one the cause."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return _line(cause)
    lines = str(error).strip().splitlines()
    return (lines[-1].strip() if lines else "") or type(error).__name__
