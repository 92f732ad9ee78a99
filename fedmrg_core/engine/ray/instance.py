"""Start a private Ray instance, or join the cluster at RAY_ADDRESS.

A private instance is private: its processes listen on the loopback address only, ask for a token that exists only in
this run's processes, and keep their files in a temporary folder that only this user can open. It writes nothing to the
home folder.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.errors import FedMRGError, first_line

MAX_FOLDER = 40
"""Longest path of Ray's temporary folder: a socket's path has at most 107 bytes, of which Ray itself uses up to 66."""
STARTS = 2
"""Ray gives up a start after 30 s, which a busy machine can need: a failed start is repeated once."""
QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}

_log = logging.getLogger(__name__)
_died = threading.Event()


def start_ray(config: PoolConfig) -> Callable[[], None]:
    """Join the cluster at RAY_ADDRESS, or start a private instance; returns a function that leaves or ends it.

    Raises FedMRGError if that fails.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's default 15 starves actors on a busy machine
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for actors of a private instance; `configure_process` sets torch's own count
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    _died.clear()
    address = os.environ.get("RAY_ADDRESS")
    return _join(address) if address else _start_private(config)


def check_alive() -> None:
    """Raises FedMRGError if the private instance lost its raylet or GCS: more calls of Ray could end this process."""
    if _died.is_set():
        raise FedMRGError(
            "Ray itself (raylet or gcs_server) died: it was killed, or memory ran out. Resume the run, with fewer"
            " actors if memory ran out"
        )


def _join(address: str) -> Callable[[], None]:
    import ray

    if "://" in address:
        raise FedMRGError(
            f"RAY_ADDRESS = {address}: run fedmrg on a node of the cluster and give HOST:PORT or auto; a remote client"
            " would carry every update twice"
        )
    try:
        ray.init(address=address, **QUIET)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise FedMRGError(
            f"RAY_ADDRESS = {address}: cannot join ({first_line(error)}): start a node of that cluster here with"
            " `ray start` from this environment (docs/scaling-out.md), or unset RAY_ADDRESS"
        ) from None
    return lambda: ray.shutdown()


def _start_private(config: PoolConfig) -> Callable[[], None]:
    folder = _folder()
    try:
        _start_repeatedly(config, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    running = threading.Event()
    running.set()
    _watch(running)

    def stop() -> None:
        import ray

        running.clear()
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

    return stop


def _start_repeatedly(config: PoolConfig, folder: Path) -> None:
    import ray

    for start in range(1, STARTS + 1):
        try:
            return _start(config, folder)
        except FedMRGError:
            raise
        except Exception as error:  # Ray raises plain exceptions here
            ray.shutdown()
            _log.info("Ray did not start (%s), attempt %d of %d", first_line(error), start, STARTS)
            if start == STARTS:
                raise FedMRGError(
                    f"Ray did not start in {folder.parent} ({first_line(error)}): free memory or disk space there, set"
                    " a smaller engine.object_store_mb, or run without Ray: --actors 0"
                ) from None


def _start(config: PoolConfig, folder: Path) -> None:
    import ray
    from ray._private import ray_constants, worker

    _use_own_token()
    worker.print_to_stdstream = _log_message  # errors of Ray's processes are printed even with log_to_driver=False
    clusters, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False  # the loopback address only
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=config.object_store_mb * 2**20,
            _temp_dir=str(folder / "ray"),  # Ray makes its own folder writable for all
            **QUIET,
        )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
    for node in ray.nodes():
        if not ip_address(node["NodeManagerAddress"]).is_loopback:
            ray.shutdown()
            raise FedMRGError(
                f"Ray {ray.__version__} listens on {node['NodeManagerAddress']}, not on the loopback address:"
                " install ray 2.60, or run with --actors 0"
            )


def _log_message(data: dict[str, Any], *args: Any, **options: Any) -> None:
    _log.debug("Ray: %s", data.get("lines"))


@cache
def _token() -> str:
    """This process's token. Ray's own would be a file in the home folder that other users may read."""
    return secrets.token_hex(32)


def _use_own_token() -> None:
    raylet: Any = import_module("ray._raylet")

    os.environ["RAY_AUTH_TOKEN"] = _token()
    for name in ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):  # without a mode, a new instance asks for a token
        os.environ.pop(name, None)
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _folder() -> Path:
    """A new temporary folder that only this user can open, with a path short enough for Ray's sockets."""
    refused = ""
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        if len(os.fsencode(parent)) + len("/fedmrg-12345678/ray") > MAX_FOLDER:
            refused = refused or f"{parent} is too long for Ray's sockets"
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="fedmrg-", dir=parent))
        except OSError as error:
            refused = refused or f"{parent}: {error.strerror}"
    raise FedMRGError(f"no temporary folder for Ray ({refused}): set TMPDIR to another folder, or run with --actors 0")


def _watch(running: threading.Event) -> None:
    """Notice the death of one of Ray's own processes while the instance is running."""
    from ray._private import worker

    def watch(pid: int) -> None:
        with suppress(OSError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        if running.is_set():
            _died.set()

    for name in ("raylet", "gcs_server"):
        with suppress(AttributeError, KeyError, IndexError):
            pid = worker._global_node.all_processes[name][0].process.pid
            threading.Thread(target=watch, args=(pid,), name=f"watch-{name}", daemon=True).start()
