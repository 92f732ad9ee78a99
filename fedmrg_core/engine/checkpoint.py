"""A run's state on disk after each round: safetensors files and a manifest with their checksums.

    round_00007/manifest.json        round, order of the parameters, client id -> file, SHA-256 of each file
                server.safetensors   shared parameters and the server's memory
                client_00000.safetensors, update_00000.safetensors, ..

A checkpoint appears whole or not at all: it is written to a temporary folder, forced to the disk and renamed. Files are
numbered, because a client id can be any text.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.errors import DataError, first_line
from fedmrg_core.files import sync
from fedmrg_core.hashes import SEAL, file_sha256, sealed, unsealed
from fedmrg_core.types import Payload

SEPARATOR = "\x1f"
"""Between group and name in a tensor's key."""
PARAMS = "params"
SERVER = "server.safetensors"

_log = logging.getLogger(__name__)


class States(Protocol):
    """What a checkpoint stores of the clients: a `ClientStore`, or a snapshot of one."""

    def clients(self) -> list[str]: ...
    def get(self, client_id: str) -> Packed: ...
    def clients_with_update(self) -> list[str]: ...
    def last_update(self, client_id: str) -> Packed: ...


def save(folder: Path, server: ServerState, store: States, keep: int = 2) -> Path:
    """Write `folder/round_00007/` after round 7 (1-based), then remove all but the newest `keep` (at least 1)."""
    target = folder / f"round_{server.round:05d}"
    for abandoned in folder.glob(".round_*"):  # a process was killed while it wrote
        shutil.rmtree(abandoned, ignore_errors=True)
    temporary = folder / f".{target.name}.{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary.mkdir(mode=0o700)  # private client states
    sha256 = {SERVER: _write(temporary / SERVER, {PARAMS: server.params, **server.memory})}
    index: dict[str, dict[str, str]] = {"client": {}, "update": {}}
    for kind, names, get in _tables(store):
        for number, client in enumerate(names):
            name = f"{kind}_{number:05d}.safetensors"
            index[kind][client] = name
            sha256[name] = _write(temporary / name, unpack(get(client)))
    manifest = {"round": server.round, "params": list(server.params), **index, "sha256": sha256}
    _write_bytes(temporary / "manifest.json", json.dumps(sealed(manifest), indent=1).encode())
    sync(temporary)
    if target.exists():
        _remove(target)
    os.replace(temporary, target)
    sync(folder)
    for old in _checkpoints(folder)[: -max(keep, 1)]:
        _remove(old)
    return target


def _remove(path: Path) -> None:
    """Rename first: if the process is killed while it deletes, the next `save` finds the rest by its name."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.old")
    os.replace(path, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _tables(store: States) -> tuple[tuple[str, list[str], Callable[[str], Packed]], ...]:
    """(kind of file, clients, how to get a client's payload)."""
    return (
        ("client", store.clients(), store.get),
        ("update", store.clients_with_update(), store.last_update),
    )


def load(folder: Path) -> tuple[ServerState, ClientStore] | None:
    """The newest checkpoint that is intact, or None if there is none. A damaged one is skipped for the one before.

    Raises DataError if all of them are damaged.
    """
    damaged: list[str] = []
    for path in reversed(_checkpoints(folder)):
        try:
            return _load(path)
        except DataError as error:
            damaged.append(str(error))
            _log.info("checkpoint skipped: %s", error)
    if damaged:
        raise DataError(f"no checkpoint can be read; the newest: {damaged[0]}. Start a new run", file=str(folder))
    return None


def _load(path: Path) -> tuple[ServerState, ClientStore]:
    """Raises DataError that names the damaged file."""
    manifest = _manifest(path)
    for name, digest in manifest["sha256"].items():
        if not (path / name).is_file() or file_sha256(path / name) != digest:
            raise DataError("missing, or not the file that was written", f"{path.name}/{name}")
    memory = _read(path, SERVER)
    stored = memory.pop(PARAMS, {})
    params = {name: stored[name] for name in manifest["params"]}
    store = ClientStore()
    for client, name in manifest["client"].items():
        store.put(client, pack(_read(path, name)))
    for client, name in manifest["update"].items():
        store.put_last_update(client, pack(_read(path, name)))
    return ServerState(params=params, memory=memory, round=manifest["round"]), store


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest, if it is the one that was written: then its content needs no further check."""
    name = f"{path.name}/manifest.json"
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        facts = unsealed(manifest) if manifest[SEAL] else None  # an older version's has none: KeyError
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"cannot be read ({first_line(error)}), or made by an older version", name) from None
    if facts is None:
        raise DataError("not the file that was written", name)
    return facts


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, oldest first."""
    paths = folder.glob("round_*") if folder.is_dir() else []
    found = [path for path in paths if re.fullmatch(r"round_\d{5,}", path.name) and (path / "manifest.json").exists()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("round_")))


def _write(path: Path, payload: Payload) -> str:
    """Returns the SHA-256 of what was written."""
    from safetensors.torch import save as to_bytes

    flat = {
        f"{group}{SEPARATOR}{name}": t.contiguous() for group, state in payload.items() for name, t in state.items()
    }
    data = to_bytes(flat)
    _write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def _read(path: Path, name: str) -> Payload:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    payload: Payload = {}
    try:
        tensors = load_file(str(path / name))
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot be read: {first_line(error)}", f"{path.name}/{name}") from None
    for key, tensor in tensors.items():
        group, _, tensor_name = key.partition(SEPARATOR)
        payload.setdefault(group, {})[tensor_name] = tensor
    return payload


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
