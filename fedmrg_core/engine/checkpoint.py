"""A run's state on disk after each round: safetensors and a manifest with checksums, written atomically."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.errors import DataError
from fedmrg_core.types import Payload

SEPARATOR = "\x1f"
PARAMS = "params"


class States(Protocol):
    """What a checkpoint holds of the clients: a `ClientStore`, or a snapshot of one."""

    def clients(self) -> list[str]: ...
    def get(self, client_id: str) -> Packed: ...
    def remembered(self) -> list[str]: ...
    def last(self, client_id: str) -> Packed: ...


class Snapshot:
    """References to the states of a store as they are now; later rounds put others in their place, not into them."""

    def __init__(self, states: Mapping[str, Packed], last: Mapping[str, Packed]) -> None:
        self._states, self._last = states, last

    def clients(self) -> list[str]:
        return sorted(self._states)

    def get(self, client_id: str) -> Packed:
        return self._states[client_id]

    def remembered(self) -> list[str]:
        return sorted(self._last)

    def last(self, client_id: str) -> Packed:
        return self._last[client_id]


def snapshot(store: States) -> Snapshot | None:
    """None where some of them lie on disk: they would be written over in place, and to read them all into memory is
    what their lying there is to avoid."""
    for name, get in [*((n, store.get) for n in store.clients()), *((n, store.last) for n in store.remembered())]:
        if get(name) is not get(name):  # one on disk is read anew each time
            return None
    states = {name: store.get(name) for name in store.clients()}
    return Snapshot(states, {name: store.last(name) for name in store.remembered()})


def save(folder: Path, server: ServerState, store: States, keep: int = 2) -> Path:
    """Write `folder/round_00007/` after round 7 (1-based); it appears whole or not at all. Keeps the newest `keep`."""
    target = folder / f"round_{server.round:05d}"
    for left in folder.glob(".round_*"):  # of a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)
    temporary = folder / f".{target.name}.{os.getpid()}"
    temporary.mkdir(parents=True)
    digests = {"server.safetensors": _write(temporary / "server.safetensors", {PARAMS: server.params, **server.memory})}
    for client in store.clients():
        name = f"client_{client}.safetensors"
        digests[name] = _write(temporary / name, unpack(store.get(client)))
    for client in store.remembered():
        name = f"last_{client}.safetensors"
        digests[name] = _write(temporary / name, unpack(store.last(client)))
    manifest = {"round": server.round, "params": list(server.params), "sha256": dict(sorted(digests.items()))}
    _write_bytes(temporary / "manifest.json", json.dumps(manifest, indent=1).encode())
    _sync(temporary)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    _sync(folder)
    for old in _complete(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def load(folder: Path) -> tuple[ServerState, ClientStore] | None:
    """The newest checkpoint whose checksums hold, or None. A damaged one is passed over for the one before."""
    damaged = []
    for path in reversed(_complete(folder)):
        wrong, manifest = _checked(path)
        if wrong:
            damaged.append(f"{path.name}/{wrong}")
            continue
        groups = _read(path / "server.safetensors")
        stored = groups.pop(PARAMS, {})
        params = {name: stored[name] for name in manifest.get("params", stored)}
        store = ClientStore()
        for file in sorted(path.glob("client_*.safetensors")):
            store.put(file.stem.removeprefix("client_"), pack(_read(file)))
        for file in sorted(path.glob("last_*.safetensors")):
            store.put_last(file.stem.removeprefix("last_"), pack(_read(file)))
        return ServerState(params=params, memory=groups, round=manifest["round"]), store
    if damaged:
        raise DataError(f"no checkpoint can be read, checksums differ: {', '.join(damaged)}", file=str(folder))
    return None


def _checked(path: Path) -> tuple[str, dict[str, Any]]:
    """A file of a checkpoint that is not what its manifest says, or ""; and the manifest."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except (OSError, ValueError):
        return "manifest.json", {}
    for name, digest in manifest["sha256"].items():
        if not (path / name).exists() or _sha256(path / name) != digest:
            return name, manifest
    return "", manifest


def _complete(folder: Path) -> list[Path]:
    paths = folder.glob("round_*") if folder.is_dir() else []
    return sorted(p for p in paths if re.fullmatch(r"round_\d{5}", p.name) and (p / "manifest.json").exists())


def _write(path: Path, payload: Payload) -> str:
    """Returns the SHA-256 of what was written."""
    from safetensors.torch import save as to_bytes

    flat = {
        f"{group}{SEPARATOR}{name}": t.contiguous() for group, state in payload.items() for name, t in state.items()
    }
    data = to_bytes(flat)
    _write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> Payload:
    from safetensors.torch import load_file

    payload: Payload = {}
    for key, tensor in load_file(str(path)).items():
        group, _, name = key.partition(SEPARATOR)
        payload.setdefault(group, {})[name] = tensor
    return payload


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
