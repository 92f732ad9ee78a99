"""The pool of one run: Ray actors or this process, and whatever was started for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fedmrg_core.engine.calls import Pool, SerialPool
from fedmrg_core.engine.client import Worker, WorkerSpec
from fedmrg_core.engine.faults import FaultyWorker
from fedmrg_core.engine.pool import PoolConfig, RayPool, start_ray


class Workers:
    """The pool of a run, and the initial parameters; closes the pool, and Ray where it was started here."""

    def __init__(self, spec: WorkerSpec, config: PoolConfig) -> None:
        self._spec, self._config = spec, config
        self._stop: Callable[[], None] = lambda: None
        self.pool: Pool

    def __enter__(self) -> Workers:
        kind = FaultyWorker if self._spec.faults else Worker
        if self._config.actors:
            self._stop = start_ray(self._config)
            try:
                self.pool = RayPool(self._spec, self._config, kind)
            except BaseException:
                self._stop()
                raise
        device = self._spec.device  # with actors, this process only tells the initial parameters: no GPU for that
        here = replace(device, device="cpu") if self._config.actors else device
        self._worker = kind(replace(self._spec, device=here))
        if not self._config.actors:
            self.pool = SerialPool(self._worker)
        return self

    def shared_params(self) -> dict[str, Any]:
        """The shared parameters as the base and the seed make them."""
        return {name: self._worker.initial[name] for name in self._worker.shared_names()}

    def __exit__(self, *error: object) -> None:
        try:
            self.pool.close()
        finally:
            self._stop()
