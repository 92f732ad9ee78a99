"""One client's gradients of one batch: what tests of precision, checkpointing and micro-batches compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from fedmrg_core.engine.client import ClientContext
from fedmrg_core.engine.trainer import MicroBatcher, build_optimizer
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.report_model import Batch, load_state
from fedmrg_core.seeding import torch_seed
from fedmrg_core.types import State
from tests.toy import Run, toy_spec


class Step:
    """One client's gradients of one batch, after a first round that gave its adapters something to say."""

    def __init__(self, cache: Path, algo: str, *overrides: str, **fields: Any) -> None:
        first = Run(toy_spec(cache, algo, "train.rounds=1"))
        self.spec = toy_spec(cache, algo, *overrides, **fields)
        self.worker = Worker(self.spec)
        hospital = next(h for h in self.worker.federation.hospitals if h.seen)
        received = self.spec.algorithm.broadcast(first.server, hospital.name)
        private = first.store.state_for_hash()
        own = f"{hospital.name}/personal/"
        load_state(self.worker.model, received["shared"])
        load_state(self.worker.model, {n.removeprefix(own): t for n, t in private.items() if n.startswith(own)})
        self.worker.model.train()
        self.client = ClientContext(self.worker, hospital, 1, received, {})
        self.batch = self.worker.batch(hospital.rows["train"][:8])

    def gradients(self, loss: Callable[[Batch], Tensor] | None = None, micro: MicroBatcher | None = None) -> State:
        moving = self.worker.model.trainable()
        optimizer = build_optimizer([{"params": list(moving.values()), "lr": 0.0}], "sgd", 0.0)
        with torch_seed(0, "step"):
            loss = loss or self.client._local_loss
            self.loss = float((micro or MicroBatcher()).gradients(self.batch, loss, optimizer))
        return {name: p.grad.clone() for name, p in moving.items() if p.grad is not None}


def same(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(left[name].equal(right[name]) for name in left)
