"""A process that is killed, or a disk that is full, at any file operation of a checkpoint: no bit is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.rounds import params_sha256

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
ROUNDS = 3


class Operations:
    """Calls `action` before the n-th file operation of a block, 1-based. One hook serves all tests: hooks stay."""

    def __init__(self) -> None:
        self.count, self.at = 0, 0
        self.action: Callable[[], None] | None = None
        sys.addaudithook(self._hook)

    def _hook(self, event: str, given: tuple[object, ...]) -> None:
        if self.action is None:
            return
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in WRITES:
            self.step()

    def step(self) -> None:
        self.count += 1
        if self.count == self.at and self.action:
            self.action()

    @contextmanager
    def interrupted(self, at: int, action: Callable[[], None]) -> Iterator[None]:
        fsync = os.fsync

        def counted(file: int) -> None:
            self.step()
            fsync(file)

        self.count, self.at, self.action, os.fsync = 0, at, action, counted
        try:
            yield
        finally:
            self.action, os.fsync = None, fsync


OPERATIONS = Operations()


def state(number: int) -> tuple[ServerState, ClientStore]:
    store = ClientStore()
    for client in ("h01", "h02"):
        store.put(client, pack({"personal": {"s": torch.full((50,), float(number))}}))
    return ServerState({"w": torch.full((30,), float(number))}, {"m": {"v": torch.ones(4)}}, round=number), store


DIGESTS = [params_sha256(*state(number)) for number in range(ROUNDS + 1)]


def save_all(folder: Path) -> None:
    for number in range(1, ROUNDS + 1):
        checkpoint.save(folder, *state(number), keep=2)


def operations(folder: Path) -> int:
    """File operations of `save_all`."""
    with OPERATIONS.interrupted(0, lambda: None):
        save_all(folder)
        return OPERATIONS.count


def check(folder: Path) -> int:
    """The checkpoint that is found is whole, and the next ones can be written; returns its round, 0 = none."""
    loaded = checkpoint.load(folder)
    number = loaded[0].round if loaded else 0
    if loaded:
        assert params_sha256(*loaded) == DIGESTS[number]
    for later in range(number + 1, ROUNDS + 2):
        checkpoint.save(folder, *state(later), keep=2)
    assert sorted(path.name for path in folder.iterdir()) == [f"round_{n:05d}" for n in (ROUNDS, ROUNDS + 1)]
    return number


def test_killed_at_any_file_operation(tmp_path: Path) -> None:
    total = operations(tmp_path / "whole")
    assert total > 40
    found = []
    for at in range(1, total + 1):
        folder = tmp_path / f"kill{at}"
        if not (child := os.fork()):
            with OPERATIONS.interrupted(at, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                save_all(folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), at
        folder.mkdir(exist_ok=True)
        found.append(check(folder))
    assert found == sorted(found), "a later kill finds a later round"
    assert set(found) == set(range(ROUNDS + 1))


def test_a_disk_that_is_full_at_any_file_operation(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    for at in range(1, operations(tmp_path / "whole") + 1):
        folder = tmp_path / f"full{at}"
        with suppress(OSError), OPERATIONS.interrupted(at, full):
            save_all(folder)
        folder.mkdir(exist_ok=True)
        check(folder)
