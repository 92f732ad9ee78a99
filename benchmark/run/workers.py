"""The workers of one run: Ray actors, or this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmark.run import provenance
from fedmrg_core.engine.fault_injection import FaultyWorker
from fedmrg_core.engine.pool import Pool, PoolConfig, SerialPool
from fedmrg_core.engine.ray.instance import start_ray
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.ray.preflight import check_nodes
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.worker import Worker


class Workers:
    """The pool of a run, and the initial parameters. On exit it closes the pool, and Ray if it started it."""

    def __init__(self, spec: WorkerSpec, config: PoolConfig) -> None:
        federation, base = os.path.abspath(spec.federation), os.path.abspath(spec.base)
        self._spec, self._config = replace(spec, federation=federation, base=base), config
        self._stop: Callable[[], None] = lambda: None
        self.pool: Pool

    def __enter__(self) -> Workers:
        if self._config.actors:
            self._stop = start_ray(self._config)
        try:
            self._start(FaultyWorker if self._spec.faults else Worker)
        except BaseException:
            self._stop()
            raise
        return self

    def _start(self, kind: type[Worker]) -> None:
        if self._config.actors:
            self._check_cluster()
            self.pool = RayPool(self._spec, self._config, kind)
        device = self._spec.device  # with actors, this process only tells the initial parameters: no GPU for that
        here = replace(device, device="cpu") if self._config.actors else device
        self._worker = kind(replace(self._spec, device=here))
        if not self._config.actors:
            self.pool = SerialPool(self._worker)

    def _check_cluster(self) -> None:
        """On a cluster: check before training that every node has the files that a worker opens."""
        warning = check_nodes(self._spec, self._config, provenance.machine) if os.environ.get("RAY_ADDRESS") else ""
        if warning:
            print(f"fedmrg: {warning}", file=sys.stderr)

    def shared_params(self) -> dict[str, Any]:
        """The shared parameters before the first round, from base and seed."""
        return {name: self._worker.initial[name] for name in self._worker.shared_names()}

    def __exit__(self, *error: object) -> None:
        try:
            self.pool.close()
        finally:
            self._stop()
