"""A private Ray instance is private, leaves nothing behind, and its failures are one line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fedmrg_core.engine.ray import instance
from fedmrg_core.errors import FedMRGError
from tests.conftest import ROOT, RayInstance
from tests.toy import TWO_ACTORS

ASK = """
import sys
from ray._raylet import GcsClient
try:
    print(len(GcsClient(address=sys.argv[1]).get_all_node_info(timeout=10)))
except Exception as error:
    print(type(error).__name__)
"""
KILLED = """
import os, signal, sys, threading, time
from fedmrg_core.engine.pool import Call, PoolConfig
from fedmrg_core.engine.ray.instance import start_ray
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.errors import FedMRGError

class Sleeper:
    def __init__(self, spec): pass
    def say(self, task, shared, alloc): time.sleep(task); return task

config = PoolConfig(1, 0.0, 100, 300.0)
stop = start_ray(config)
pool = RayPool(None, config, Sleeper)
list(pool.map([Call("say", 0, None, "client a")]))
from ray._private import worker
pid = worker._global_node.all_processes[sys.argv[1]][0].process.pid
threading.Timer(1.0, lambda: os.kill(pid, signal.SIGKILL)).start()
try:
    list(pool.map([Call("say", 600, None, "client b")]))
except FedMRGError as error:
    print(error, flush=True)
pool.close()
stop()
sys.exit(7)
"""


@pytest.fixture(name="own")
def _own(ray_instance: RayInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayInstance]:
    """An instance of this test's own, under a home folder that cannot be written."""
    ray_instance.stop()
    home = tmp_path / "home"
    home.write_text("a file, not a folder")
    monkeypatch.setenv("HOME", str(home))
    ray_instance.start()
    yield ray_instance
    ray_instance.stop()


def processes() -> list[psutil.Process]:
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def answer(address: str, token: str) -> str:
    """What Ray's GCS says to another process of this machine that has this token."""
    environment = {**os.environ, "RAY_AUTH_TOKEN": token, "RAY_AUTH_MODE": "token"}
    command = [sys.executable, "-c", ASK, address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads /proc, which Linux has")
def test_a_private_instance_is_reachable_by_its_own_user_on_its_own_machine_only(own: RayInstance) -> None:
    import ray

    listening = [c for p in processes() for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 4, "the driver, the GCS, the raylet and the object manager"
    assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}
    folder = Path(ray._private.worker._global_node.get_temp_dir_path())
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    tokens = (os.environ["RAY_AUTH_TOKEN"], "0" * 64)
    assert [answer(ray.get_runtime_context().gcs_address, token) for token in tokens] == ["1", "AuthenticationError"]
    own.stop()
    assert not folder.parent.exists()


def test_a_start_that_fails_is_repeated_once_and_then_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    starts: list[Path] = []

    def fail(**given: Any) -> None:
        starts.append(Path(given["_temp_dir"]).parent)
        raise Exception("\nThe current node timed out during startup.\nMore of it")

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(FedMRGError, match=r"did not start .*The current node timed out.*--actors 0") as caught:
        instance.start_ray(TWO_ACTORS)
    assert "\n" not in str(caught.value)
    assert len(starts) == instance.STARTS
    assert not starts[0].exists()


def test_an_instance_that_is_not_on_the_loopback_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "init", lambda **given: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": "10.0.0.7"}])
    with pytest.raises(FedMRGError, match=r"listens on 10\.0\.0\.7, not on the loopback address"):
        instance.start_ray(TWO_ACTORS)


def test_a_temporary_folder_is_short_enough_for_sockets_or_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "/tmp/" + "x" * 90
    monkeypatch.setattr(tempfile, "tempdir", long)
    folder = instance._folder()
    assert len(str(folder / "ray")) <= instance.MAX_FOLDER
    folder.rmdir()

    def full(**given: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(FedMRGError, match=r"too long for Ray's sockets\): set TMPDIR to another folder"):
        instance._folder()
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    with pytest.raises(FedMRGError, match=r"/tmp: No space left on device\): set TMPDIR"):
        instance._folder()


@pytest.mark.slow
@pytest.mark.parametrize("process", ["raylet", "gcs_server"])
def test_the_death_of_rays_own_processes_is_one_line(process: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, process], cwd=ROOT, capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("Ray itself (raylet or gcs_server) died")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
