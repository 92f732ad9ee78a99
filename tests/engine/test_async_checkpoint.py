"""Background checkpoints: each holds its own round's state, errors are raised, and a kill loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmrg_core.algorithms.base import ServerState
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.async_checkpoint import AsyncCheckpointer
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import FedMRGError
from tests.conftest import ROOT
from tests.toy import Run, toy_spec

CHILD = """
import os, sys, time
from pathlib import Path
from fedmrg_core.engine import checkpoint
from fedmrg_core.engine.async_checkpoint import AsyncCheckpointer
from tests.toy import Run, toy_spec

cache, folder = map(Path, sys.argv[1:])
written = checkpoint._write_bytes

def slowly(path, data):
    if "round_00002" in str(path) and path.name.startswith("client_"):
        path.write_bytes(data[: len(data) // 2])
        print("half", flush=True)
        time.sleep(600)
    written(path, data)

class Saving(Run):
    def _log(self, server, store, log):
        writer.save(server, store)

checkpoint._write_bytes = slowly
with AsyncCheckpointer(folder, 2, 600.0) as writer:
    Saving(toy_spec(cache, "fedmrg", "train.rounds=4"))
"""


def state(number: int, memory_limit: int = 10**9) -> tuple[ServerState, ClientStore]:
    store = ClientStore(memory_limit)
    store.put("h01", pack({"personal": {"s": torch.full((2,), float(number))}}))
    return ServerState({"w": torch.full((3,), float(number))}, {}, round=number), store


def test_killed_in_the_middle_of_a_checkpoint_and_resumed_is_as_never_killed(toy_cache: Path, tmp_path: Path) -> None:
    spec = toy_spec(toy_cache, "fedmrg", "train.rounds=4")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(toy_cache), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "half\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert [path.name for path in tmp_path.glob(".round_*")] == [f".round_00002.{child.pid}"]
    loaded = checkpoint.load(tmp_path)
    assert loaded is not None
    assert loaded[0].round == 1
    whole, again = Run(spec), Run(spec, start=loaded)
    assert params_sha256(again.server, again.store) == params_sha256(whole.server, whole.store)
    checkpoint.save(tmp_path, again.server, again.store)
    assert not list(tmp_path.glob(".round_*"))


def test_one_write_at_a_time_each_of_its_own_rounds_state(tmp_path: Path) -> None:
    running, most = [], []
    free = threading.Event()

    def write(*given: Any) -> None:
        running.append(1)
        most.append(len(running))
        free.wait(10)
        checkpoint.save(*given)
        running.pop()

    with AsyncCheckpointer(tmp_path, 9, 60.0, write) as writer:
        server, store = state(1)
        writer.save(server, store)
        store.stage("h01", pack({"personal": {"s": torch.zeros(2)}}))
        store.commit()  # the next round commits while the former is being written
        assert not list(tmp_path.glob("round_*"))
        free.set()
        writer.save(*state(2))
        assert (tmp_path / "round_00001").exists()
    assert most == [1, 1]
    assert params_sha256(*(checkpoint.load(tmp_path) or ())) == params_sha256(*state(2))
    (tmp_path / "round_00002" / "manifest.json").unlink()
    assert params_sha256(*(checkpoint.load(tmp_path) or ())) == params_sha256(*state(1))


def test_an_error_is_raised_once_by_the_next_save_or_at_the_end(tmp_path: Path) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    writer = AsyncCheckpointer(tmp_path, 2, 60.0, full)
    writer.save(*state(1))
    with pytest.raises(OSError, match="No space"):
        writer.save(*state(2))
    writer.save(*state(2))
    with pytest.raises(OSError, match="No space"):
        writer.finish()
    writer.finish()
    with pytest.raises(ValueError, match="the run's own"):
        fail_while_writing(AsyncCheckpointer(tmp_path, 2, 60.0, full))


def fail_while_writing(writer: AsyncCheckpointer) -> None:
    with writer:
        writer.save(*state(3))
        raise ValueError("the run's own")


def test_a_disk_that_hangs_ends_the_run_with_a_word(tmp_path: Path) -> None:
    stop = threading.Event()
    writer = AsyncCheckpointer(tmp_path, 2, 0.05, lambda *given: stop.wait(30))
    writer.save(*state(1))
    with pytest.raises(FedMRGError, match=r"checkpoint of round 1 was not written to .* within 0 s.*engine\.wait_s"):
        writer.save(*state(2))
    stop.set()


def test_spilled_states_are_written_before_the_next_round_can_overwrite_them(tmp_path: Path) -> None:
    writer = AsyncCheckpointer(tmp_path, 2, 60.0)
    server, store = state(1, memory_limit=0)
    assert store.snapshot() is None
    writer.save(server, store)
    assert (tmp_path / "round_00001" / "manifest.json").exists()
