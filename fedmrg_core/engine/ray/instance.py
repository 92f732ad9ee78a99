"""Start a private Ray instance, or join the cluster at RAY_ADDRESS."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.errors import FedMRGError, first_line


def start_ray(config: PoolConfig) -> Callable[[], None]:
    """Join the cluster at RAY_ADDRESS, or start a private one; returns a function that leaves or ends it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's default 15 starves actors on a busy machine
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for actors of a private instance; `configure_process` sets torch's own count
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    import ray

    address = os.environ.get("RAY_ADDRESS")
    if address:
        _join(address, options)
    else:
        memory = config.object_store_mb * 2**20
        ray.init(address="local", include_dashboard=False, object_store_memory=memory, **options)
    return lambda: ray.shutdown()


def _join(address: str, options: dict[str, Any]) -> None:
    import ray

    if "://" in address:
        raise FedMRGError(
            f"RAY_ADDRESS = {address}: run fedmrg on a node of the cluster and give HOST:PORT or auto; a remote client"
            " would carry every update twice"
        )
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise FedMRGError(
            f"RAY_ADDRESS = {address}: cannot join ({first_line(error)}): start a node of that cluster here with"
            " `ray start` from this environment (docs/scaling-out.md), or unset RAY_ADDRESS"
        ) from None
