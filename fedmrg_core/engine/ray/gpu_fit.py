"""How many actors fit on a GPU: one actor's largest work is measured, in a process that ends before actors start."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil, floor
from typing import Any

import numpy as np
import torch

from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.engine.memory.wire import EMPTY, pack, unpack
from fedmrg_core.engine.messages import GenerateTask, TrainTask, client_state, server_payload
from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import longest_first
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import FedMRGError
from fedmrg_core.models.report_model import Batch

HEADROOM = 0.1
"""Share of a GPU's free memory that is not used: batches differ, and allocators leave gaps."""
MEASURE_S = 600.0
"""Longest wait for one step of the measurement."""


@dataclass(frozen=True)
class MemoryProbe:
    """A measurement. gpus: number of GPUs. free: bytes free on the fullest one. needed: bytes of one actor with its
    CUDA context, model, training step and generation."""

    gpus: int
    free: int
    needed: int


def actors_per_gpu(free: int, needed: int, headroom: float = HEADROOM) -> int:
    """How many actors of `needed` bytes fit into `free` bytes less the headroom. At least 1, because an actor that runs
    out of memory halves its batches.

    >>> actors_per_gpu(free=80 * 10**9, needed=20 * 10**9)
    3
    """
    return max(1, int(free * (1 - headroom)) // max(1, needed))


def gpu_fraction(count: int) -> float:
    """The GPU share with which Ray puts `count` actors on one GPU, rounded down to Ray's unit of 1/10,000.

    >>> gpu_fraction(1), gpu_fraction(3)
    (1.0, 0.3333)
    """
    return floor(10_000 / count) / 10_000


def limit_to_memory(config: PoolConfig, memory: MemoryProbe) -> PoolConfig:
    """The pool with at most as many actors as fit, spread evenly over the GPUs, and their share of a GPU."""
    per_gpu = actors_per_gpu(memory.free, memory.needed)
    actors = min(config.actors, per_gpu * memory.gpus)
    return replace(config, actors=actors, gpus_per_actor=gpu_fraction(min(per_gpu, ceil(actors / memory.gpus))))


def fit_gpu(
    config: PoolConfig,
    spec: WorkerSpec,
    federation: Federation,
    films: int,
    measure: Callable[..., MemoryProbe] | None = None,
) -> tuple[PoolConfig, dict[str, Any]]:
    """The pool as it will run, and facts for the result. Measures only on cuda, with actors, and if no share of a GPU
    is set. On a cluster the driver's GPU represents the nodes' GPUs, and the number of actors is not reduced."""
    if not (config.actors and spec.device.device == "cuda" and config.gpus_per_actor == 0):
        return config, {}
    memory = (measure or measure_actor)(spec, federation, films)
    if os.environ.get("RAY_ADDRESS"):
        chosen = replace(config, gpus_per_actor=gpu_fraction(actors_per_gpu(memory.free, memory.needed)))
    else:
        chosen = limit_to_memory(config, memory)
    facts = {"actors": chosen.actors, "asked": config.actors, "gpus_per_actor": chosen.gpus_per_actor}
    return chosen, {**facts, **asdict(memory)}


def measure_actor(
    spec: WorkerSpec,
    federation: Federation,
    films: int,
    free: Callable[[], list[int]] | None = None,
    work: Callable[[WorkerSpec, str, int], object] | None = None,
) -> MemoryProbe:
    """Run one actor's largest work and measure the GPU memory it takes. Raises FedMRGError if it does not fit.

    A second process reads the free memory before the work, and again while the first process still holds its memory,
    so that the difference includes the CUDA context. free, work: what the two processes run (`free_bytes`,
    `run_largest`).
    """
    if not torch.cuda.is_available():
        raise FedMRGError("torch sees no GPU here to measure: set engine.device=cpu, or engine.gpus_per_actor")
    spawn, task = multiprocessing.get_context("spawn"), (spec, largest_client(federation), films)
    try:
        with spawn.Pool(1) as watcher, spawn.Pool(1) as actor:
            before = watcher.apply_async(free or free_bytes).get(MEASURE_S)
            actor.apply_async(work or run_largest, task).get(MEASURE_S)
            after = watcher.apply_async(free or free_bytes).get(MEASURE_S)
    except torch.OutOfMemoryError:
        raise FedMRGError(
            "one actor does not fit on the GPU, not even with one study at a time: set"
            " engine.gradient_checkpointing=true, engine.precision=bf16, or a smaller evaluate.batch_size"
        ) from None
    except multiprocessing.TimeoutError:
        raise FedMRGError(
            f"an actor's memory was not measured within {MEASURE_S:.0f} s: set engine.gpus_per_actor yourself"
        ) from None
    return MemoryProbe(len(before), min(before), before[0] - after[0])


def free_bytes() -> list[int]:
    """Bytes free on each GPU."""
    return [torch.cuda.mem_get_info(gpu)[0] for gpu in range(torch.cuda.device_count())]


def largest_client(federation: Federation) -> str:
    """The seen hospital with the most training tokens."""
    return longest_first([hospital for hospital in federation.hospitals if hospital.seen], federation)[0].name


def run_largest(spec: WorkerSpec, client: str, films: int) -> int:
    """One training step of a client on its longest reports, then one generation batch of `films` images; returns the
    number of training steps."""
    spec = replace(spec, train=replace(spec.train, local_steps=1), faults=())
    worker = _LongestFirst(spec, client)
    shared = {name: worker.initial[name] for name in worker.shared_names()}
    server = spec.algorithm.init_server(shared, 1)
    broadcast = pack(spec.algorithm.broadcast(server, client))
    reply = worker.train(TrainTask(client, 0, EMPTY), broadcast)
    personal = spec.algorithm.has_personal_view(client_state(client, unpack(reply.private)))
    task = GenerateTask(tuple(worker.rows[:films].tolist()), reply.private if personal else None, client_id=client)
    worker.generate(task, pack(server_payload(server)))
    return reply.steps


class _LongestFirst(Worker):
    """A worker whose batches are a client's longest reports."""

    def __init__(self, spec: WorkerSpec, client: str) -> None:
        super().__init__(spec)
        rows = self.hospitals[client].rows["train"]
        self.rows = rows[np.argsort(-self.federation.reports.lengths[rows], kind="stable")]

    def batch(self, rows: np.ndarray) -> Batch:
        return super().batch(self.rows[: len(rows)])
