"""The smallest real set-up that tests share: the CI split, a one-layer model, and rounds run in this process."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.run import settings
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus
from fedmrg_core.engine.base_cache import ensure_base
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.failures import Fault, Policy
from fedmrg_core.engine.fault_injection import FaultyWorker
from fedmrg_core.engine.pool import Pool, PoolConfig, SerialPool
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import RoundRecord, run_rounds
from fedmrg_core.engine.worker import Worker

SMALL = (
    "lm_hidden=32", "lm_layers=1", "lm_heads=2", "lm_intermediate=64", "encoder_channels=8,8,16,16",
    "vocab_size=400", "image_size=64", "warmup_studies=64", "warmup_vision_steps=2", "warmup_prompt_steps=2",
    "warmup_steps=4", "max_tokens=24",
    "train.rounds=2", "local_steps=2", "train.batch_size=8", "engine.actors=0", "tuning.rank=2", "resamples=20",
)  # fmt: skip
"""Overrides that make any algorithm's run a matter of seconds."""


def toy_config(algo: str, *overrides: str, seed: int = 0) -> settings.Config:
    return settings.load(algo, split="phantom/ci", seed=seed, overrides=[*SMALL, *overrides])


@cache
def federation(cache_dir: Path, image_size: int = 64) -> Federation:
    config = toy_config("fedavg")
    return prepare(config.data, "phantom/ci", 0, image_size, cache_dir, None, progress=False)


def toy_spec(cache_dir: Path, algo: str, *overrides: str, seed: int = 0, **fields: Any) -> WorkerSpec:
    """The spec of an algorithm's config; `fields` replace fields of the algorithm."""
    config = toy_config(algo, *overrides, seed=seed)
    model = config.model
    corpus = PublicCorpus(PhantomConfig.load(), model.warmup_studies, 0)
    return WorkerSpec(
        federation=str(federation(cache_dir, model.image_size).directory),
        base=str(ensure_base(model, corpus, 0, cache_dir, progress=False)),
        model=model,
        algorithm=replace(config.algorithm, **fields),
        train=config.train,
        seed=seed,
        device=replace(config.device, device="cpu"),
        generation=config.generation,
    )


def faulty(spec: WorkerSpec, *faults: Fault) -> WorkerSpec:
    return replace(spec, faults=faults)


TWO_ACTORS = PoolConfig(actors=2, gpus_per_actor=0.0, object_store_mb=128, wait_s=120.0)


class Run:
    """Rounds of one spec, with what they left: server, store, logs and the workers' uploads."""

    def __init__(
        self,
        spec: WorkerSpec,
        pool: Pool | None = None,
        start: tuple[ServerState, ClientStore] | None = None,
        policy: Policy | None = None,
        stop: int | None = None,
    ):
        """stop: the run is interrupted after so many rounds."""
        self.spec = spec
        self.worker = (FaultyWorker if spec.faults else Worker)(spec)
        self.pool = pool or SerialPool(self.worker)
        self.federation = Federation.open(spec.federation)
        self.logs: list[RoundRecord] = []
        shared = {name: self.worker.initial[name] for name in self.worker.shared_names()}
        server, self.store = start or (spec.algorithm.init_server(shared, 3), ClientStore())
        self.initial = server
        self.server, self._stop = server, stop
        fixed = (spec.algorithm, self.federation, spec.train, spec.seed, self.pool)
        with suppress(KeyboardInterrupt):
            self.server = run_rounds(*fixed, server, self.store, self._log, policy)

    def _log(self, server: ServerState, store: ClientStore, log: RoundRecord) -> None:
        self.logs.append(log)
        self.server = server
        if len(self.logs) == self._stop:
            raise KeyboardInterrupt


def same(left: ServerState, right: ServerState, names: Iterable[str] | None = None) -> bool:
    """Whether shared parameters agree bit by bit (on `names`, or on all)."""
    keys = list(left.params if names is None else names)
    return all(left.params[key].equal(right.params[key]) for key in keys)


__all__ = ["SMALL", "TWO_ACTORS", "Algorithm", "Run", "faulty", "federation", "same", "toy_config", "toy_spec"]
