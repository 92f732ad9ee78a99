"""How long a client's round takes: a few steps on random films and reports, with random weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.run.settings import Config
from fedmrg_core.data.cache.federation import POOLED, Hospital, pooled
from fedmrg_core.engine.device import configure_device
from fedmrg_core.engine.memory.wire import pack
from fedmrg_core.engine.messages import SHARED, TrainTask
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.lora_ranks import slice_ranks
from fedmrg_core.models.report_model import ReportModel
from fedmrg_core.types import CONDITIONS

TOKENS = 40
"""Length of the reports."""
STEPS = 3


@dataclass(frozen=True)
class Probe:
    """CPU seconds (on a GPU: seconds) of one step on a batch, and of a client's round besides its steps."""

    step: float
    besides: float


class _Reports(Sequence[str]):
    def __init__(self, count: int, tokens: int) -> None:
        self.lengths = np.full(count, tokens)
        self._text = " ".join(["word"] * tokens)

    def __getitem__(self, row: Any) -> Any:
        return self._text

    def __len__(self) -> int:
        return len(self.lengths)


class _ProbeWorker(Worker):
    """A worker on a model that is built already, and on one hospital of made-up studies."""

    def __init__(self, spec: WorkerSpec, model: ReportModel, studies: int) -> None:
        rows = np.arange(studies)
        hospital = Hospital("h01", True, {"train": rows, "val": rows, "test": rows})
        labels = np.random.default_rng(0).integers(0, 4, (studies, len(CONDITIONS))).astype(np.int8)
        reports = _Reports(studies, min(TOKENS, spec.model.max_tokens))
        made: Any = SimpleNamespace(hospitals=[hospital], reports=reports, labels=labels, study_ids=list(rows))
        self.spec, self.federation = spec, made
        self.hospitals = {"h01": hospital, POOLED: pooled([hospital])}
        self._hold(model)

    def images(self, rows: np.ndarray) -> Tensor:
        size = self.spec.model.image_size
        films = torch.randint(0, 256, (len(rows), size, size), dtype=torch.uint8)
        return self._to_device(films)


def probe(config: Config, model: ReportModel, clients: int) -> Probe:
    """One client's round of 1 step and one of 3 more, after one that warms up. The model is trained by it."""
    device = config.device if torch.cuda.is_available() else replace(config.device, device="cpu")
    configure_device(device)
    if device.gradient_checkpointing:
        model.checkpoint_gradients()
    train = replace(config.train, local_steps=1, rounds=max(4, config.train.rounds))
    spec = WorkerSpec("", "", config.model, config.algorithm, train, config.run.seed, device)
    worker = _ProbeWorker(spec, model.to(device.device), train.batch_size * (STEPS + 1))
    client = POOLED if config.algorithm.pools else "h01"
    shared = {name: worker.initial[name] for name in worker.shared_names()}
    payload = config.algorithm.broadcast(config.algorithm.init_server(shared, clients), client)
    payload = {**payload, SHARED: slice_ranks(payload[SHARED], config.algorithm.rank_of(client))}

    def seconds(steps: int) -> float:
        worker.spec = replace(spec, train=replace(train, local_steps=steps))
        reply = worker.train(TrainTask(client, 0, pack({})), pack(payload))
        return reply.seconds if device.device.startswith("cuda") else reply.cpu_seconds

    seconds(1)
    few, more = seconds(1), seconds(1 + STEPS)
    step = max(0.0, (more - few) / STEPS)
    return Probe(step, max(0.0, few - step))


def free_memory() -> int:
    """Bytes of memory that this machine has left."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
