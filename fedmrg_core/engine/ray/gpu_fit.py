"""How many actors fit a GPU: one of them is measured at its largest work, in a process that ends before they start."""

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
from fedmrg_core.engine.ray.pool import PoolConfig
from fedmrg_core.engine.rounds import longest_first
from fedmrg_core.engine.worker import Worker, WorkerSpec
from fedmrg_core.errors import FedMRGError
from fedmrg_core.models.report_model import Batch

HEADROOM = 0.1
"""Share of a GPU's free memory that stays free: batches differ, and an allocator's pieces do not fit without gaps."""
WAIT_S = 600.0


@dataclass(frozen=True)
class MemoryProbe:
    """What was measured. gpus: their number. free: bytes free on the fullest of them. needed: bytes of one actor,
    its CUDA context, model, step and generation."""

    gpus: int
    free: int
    needed: int


def actors_per_gpu(free: int, needed: int, headroom: float = HEADROOM) -> int:
    """How many times `needed` bytes fit `free` bytes less the headroom; at least 1, since an actor that runs out of
    memory halves its batches.

    >>> actors_per_gpu(free=80 * 10**9, needed=20 * 10**9)
    3
    """
    return max(1, int(free * (1 - headroom)) // max(1, needed))


def gpu_fraction(count: int) -> float:
    """The share of a GPU at which Ray puts `count` actors on one: rounded down to the 1/10,000 that Ray counts in.

    >>> gpu_fraction(1), gpu_fraction(3)
    (1.0, 0.3333)
    """
    return floor(10_000 / count) / 10_000


def fitted(config: PoolConfig, memory: MemoryProbe) -> PoolConfig:
    """The pool with as many of its actors as fit, spread evenly over the GPUs, and each one's share of a GPU."""
    most = actors_per_gpu(memory.free, memory.needed)
    actors = min(config.actors, most * memory.gpus)
    return replace(config, actors=actors, gpus_per_actor=gpu_fraction(min(most, ceil(actors / memory.gpus))))


def fit_gpu(
    config: PoolConfig,
    spec: WorkerSpec,
    federation: Federation,
    films: int,
    measure: Callable[..., MemoryProbe] | None = None,
) -> tuple[PoolConfig, dict[str, Any]]:
    """The pool as it will run, and facts for the result. Only on cuda, with actors and no share of a GPU given, is
    there anything to find out; on a cluster the driver's GPU stands for those of the nodes, and all actors stay."""
    if not (config.actors and spec.device.device == "cuda" and config.gpus_per_actor == 0):
        return config, {}
    memory = (measure or measured)(spec, federation, films)
    if os.environ.get("RAY_ADDRESS"):
        chosen = replace(config, gpus_per_actor=gpu_fraction(actors_per_gpu(memory.free, memory.needed)))
    else:
        chosen = fitted(config, memory)
    facts = {"actors": chosen.actors, "asked": config.actors, "gpus_per_actor": chosen.gpus_per_actor}
    return chosen, {**facts, **asdict(memory)}


def measured(
    spec: WorkerSpec,
    federation: Federation,
    films: int,
    free: Callable[[], list[int]] | None = None,
    work: Callable[[WorkerSpec, str, int], object] | None = None,
) -> MemoryProbe:
    """Run one actor's largest work and see what memory is gone meanwhile. Raises FedMRGError where it does not fit.

    A second process looks at the memory before and while the first one holds what it took, so that the difference has
    the CUDA context in it. free, work: what the two processes do (`free_bytes`, `work_hardest`).
    """
    if not torch.cuda.is_available():
        raise FedMRGError("a GPU is to be measured, but torch sees none here")
    spawn, task = multiprocessing.get_context("spawn"), (spec, largest_client(federation), films)
    try:
        with spawn.Pool(1) as watcher, spawn.Pool(1) as actor:
            before = watcher.apply_async(free or free_bytes).get(WAIT_S)
            actor.apply_async(work or work_hardest, task).get(WAIT_S)
            after = watcher.apply_async(free or free_bytes).get(WAIT_S)
    except torch.OutOfMemoryError:
        raise FedMRGError(
            "one actor does not fit the GPU, not even study by study: set engine.gradient_checkpointing=true,"
            " engine.precision=bf16 or a smaller evaluate.batch_size"
        ) from None
    except multiprocessing.TimeoutError:
        raise FedMRGError(
            f"an actor's memory was not measured within {WAIT_S:.0f} s: give each a share with engine.gpus_per_actor"
        ) from None
    return MemoryProbe(len(before), min(before), before[0] - after[0])


def free_bytes() -> list[int]:
    """Bytes free on each GPU."""
    return [torch.cuda.mem_get_info(gpu)[0] for gpu in range(torch.cuda.device_count())]


def largest_client(federation: Federation) -> str:
    """The seen hospital with the most tokens to train on."""
    return longest_first([hospital for hospital in federation.hospitals if hospital.seen], federation)[0].name


def work_hardest(spec: WorkerSpec, client: str, films: int) -> int:
    """One training step of a client on its longest reports, and a batch of `films` reports; returns its steps."""
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
    """A worker whose batches hold a client's longest reports."""

    def __init__(self, spec: WorkerSpec, client: str) -> None:
        super().__init__(spec)
        rows = self.hospitals[client].rows["train"]
        self.rows = rows[np.argsort(-self.federation.reports.lengths[rows], kind="stable")]

    def batch(self, rows: np.ndarray) -> Batch:
        return super().batch(self.rows[: len(rows)])
