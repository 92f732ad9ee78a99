"""A worker: runs clients on one process's model. Clients are data that pass through it.

A client's private state arrives with its task and leaves with its reply. The worker stores nothing between tasks, so
that the result does not depend on where a client runs.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np

from fedmrg_core import tree
from fedmrg_core.engine.client import ClientContext
from fedmrg_core.engine.device import autocast
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import (
    PERSONAL,
    RESIDUE,
    SHARED,
    AdaptTask,
    GenerateReply,
    GenerateTask,
    TrainReply,
    TrainTask,
    client_state,
    server_state,
)
from fedmrg_core.engine.replica import Replica
from fedmrg_core.models.lora_ranks import pad_ranks, slice_ranks
from fedmrg_core.models.report_model import models_built
from fedmrg_core.seeding import derive_seed, torch_seed


class Worker(Replica):
    """A pool calls its methods with (task, broadcast, alloc)."""

    def facts(self, task: None = None, shared: None = None, alloc: tree.Allocator = tree.alloc) -> dict[str, int]:
        """This process's id, the number of models it has built, and the bytes that it shares with other processes."""
        return {"pid": os.getpid(), "models_built": models_built(), "shared_bytes": self.shared_bytes}

    def train(self, task: TrainTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> TrainReply:
        """Run one client for one round. alloc: gives the buffer in which the upload is made."""
        start, cpu = time.perf_counter(), time.process_time()
        spec, algorithm = self.spec, self.spec.algorithm
        received, private = {SHARED: {}, **unpack(broadcast)}, unpack(task.private)
        rank = algorithm.rank_of(task.client_id)
        received[SHARED] = pad_ranks(received[SHARED], {n: t.shape for n, t in self.initial.items()}, rank)
        self.start_from({**received[SHARED], **private.get(PERSONAL, {})})
        self.model.train()
        context = ClientContext(self, self.hospitals[task.client_id], task.round, received, private, alloc)
        payload, residue = {}, private.get(RESIDUE, {})
        with torch_seed(spec.seed, task.round, task.client_id, "train"):
            if task.round < spec.train.rounds:
                payload = algorithm.client_round(context)
                payload["delta"], residue = algorithm.codec.encode(slice_ranks(payload["delta"], rank), residue)
            else:
                algorithm.client_finish(context)
        return TrainReply(
            client_id=task.client_id,
            upload=pack(payload),
            private=pack(context.private_state(residue)),
            weight=float(len(context.rows)),
            losses=context.mean_losses(),
            steps=context.steps,
            seconds=time.perf_counter() - start,
            cpu_seconds=time.process_time() - cpu,
            events=context.events(),
            studies=context.studies,
        )

    def adapt(self, task: AdaptTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> Packed:
        """Adapt the final model to a hospital that took no part; returns the private state that this makes."""
        algorithm = self.spec.algorithm
        server = server_state(unpack(broadcast), task.round)
        received = {SHARED: {}, **algorithm.broadcast(server, task.client_id)}
        self.start_from(received[SHARED])
        self.model.train()
        hospital = self.hospitals[task.client_id]
        hospital = replace(hospital, rows={**hospital.rows, "train": np.array(task.rows)})
        context = ClientContext(self, hospital, 0, received, {}, alloc)
        with torch_seed(self.spec.seed, "adapt", task.client_id, len(task.rows)):
            algorithm.client_adapt(context, task.steps)
        return pack(context.private_state({}) if context.steps else {})

    def generate(self, task: GenerateTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> GenerateReply:
        """Report on one batch of films, and say how likely their references were."""
        start = time.perf_counter()
        algorithm = self.spec.algorithm
        client = None if task.private is None else client_state(task.client_id, unpack(task.private))
        self.start_from({})
        base = {name: p.detach() for name, p in self.model.named_parameters() if name not in self.moving}
        self.start_from(algorithm.eval_params(server_state(unpack(broadcast), task.round), client, base))
        self.model.eval()
        rows = np.array(task.rows)
        with autocast(self.spec.device):
            batch, states = self.batch(rows), self.states(rows) if task.oracle else None
            weights = lambda vision: algorithm.study_weights(vision, client)  # noqa: E731
            seeds = [derive_seed(self.spec.seed, "generation", str(self.federation.study_ids[row])) for row in rows]
            weight, how = algorithm.prompt_weight(), self.spec.generation
            read = self.model.read(batch.images, weights, states, weight)
            made, nats = self.model.write(read, how, seeds), self.model.reference_nll(batch, read)
        head = None if made.head is None else made.head.numpy()
        nll = np.stack([nats.numpy(), batch.mask.sum(dim=1).cpu().double().numpy()], axis=1)
        return GenerateReply(made.reports, head, time.perf_counter() - start, made.cut, nll)
