"""One worker process: the model and the data once, and clients as data that pass through it.

A client's private state comes with its task and goes back with its reply; the worker keeps nothing between tasks, so
it does not matter where a client runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Federation, Hospital
from fedmrg_core.engine.device import DeviceConfig, autocast, settle_device, to_device
from fedmrg_core.engine.failures import Fault
from fedmrg_core.engine.memory.process import settle_process
from fedmrg_core.engine.memory.shared_weights import LEAST, SharedWeights
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import MEMORY, PERSONAL, RESIDUE, GenerateReply, GenerateTask, TrainReply, TrainTask
from fedmrg_core.engine.trainer import MicroBatcher, TrainConfig, batch_rows, build_optimizer, fit, parameter_groups
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.report_model import Batch, ReportModel, build_model, load_state, models_built
from fedmrg_core.seeding import generator, torch_seed
from fedmrg_core.types import CONDITIONS, LabelState, Payload, State


@dataclass(frozen=True)
class WorkerSpec:
    """All that a process needs to become a worker; small, and the same for each of them. share_from: bytes of frozen
    parameters from which on the processes of a machine share them."""

    federation: str
    base: str
    model: ModelConfig
    algorithm: Algorithm
    train: TrainConfig
    seed: int
    device: DeviceConfig
    faults: tuple[Fault, ...] = ()
    share_from: int = LEAST


class Worker:
    """Holds one model. `train` and `write` are all that a pool calls. alloc: gives the buffers of uploads."""

    alloc: tree.Allocator = staticmethod(tree.alloc)

    def __init__(self, spec: WorkerSpec) -> None:
        settle_process()
        settle_device(spec.device)
        self.spec = spec
        self.federation = Federation.open(Path(spec.federation))
        self.hospitals = {hospital.name: hospital for hospital in self.federation.hospitals}
        frozen = SharedWeights(Path(spec.base), spec.share_from)
        with frozen if spec.model.lm != "tiny" and spec.device.device == "cpu" else nullcontext():
            self.model = self._load()
            self.moving: State = {**self.model.trainable(), **self.model.buffers_of_state()}
            self.shared_bytes = frozen.share(self.model, self.moving)
        self.initial = tree.clone({name: tensor.cpu() for name, tensor in self.moving.items()})

    def _load(self) -> ReportModel:
        """The model as the algorithm wants it: once in a worker's life."""
        spec = self.spec
        model = build_model(spec.model, Path(spec.base), spec.seed)
        spec.algorithm.configure_model(model, spec.seed)
        if spec.device.gradient_checkpointing:
            model.checkpoint_gradients()
        return model.to(spec.device.device)

    def facts(self, task: None = None, shared: None = None) -> dict[str, int]:
        """This process's id, the models it has built in its life, and the bytes that it shares with others."""
        return {"pid": os.getpid(), "models_built": models_built(), "shared_bytes": self.shared_bytes}

    def shared_names(self) -> list[str]:
        """What travels: trainable parameters in the model's order, then running statistics."""
        return [name for name in self.initial if self.spec.algorithm.is_shared(name)]

    def personal_names(self) -> list[str]:
        """What moves and stays at home."""
        return [name for name in self.initial if not self.spec.algorithm.is_shared(name)]

    def train(self, task: TrainTask, broadcast: Packed) -> TrainReply:
        """Run one client for one round."""
        start = time.perf_counter()
        spec = self.spec
        received, private = unpack(broadcast), unpack(task.private)
        personal = private.get(PERSONAL) or {name: self.initial[name] for name in self.personal_names()}
        load_state(self.model, {**received["shared"], **personal})
        self.model.train()
        context = ClientContext(self, self.hospitals[task.client_id], task.round, received, private)
        with torch_seed(spec.seed, task.round, task.client_id, "train"):
            payload = spec.algorithm.client_round(context)
        payload["delta"], residue = spec.algorithm.codec.encode(payload["delta"], private.get(RESIDUE, {}))
        return TrainReply(
            client_id=task.client_id,
            upload=pack(payload),
            private=pack(context.private_state(residue)),
            weight=float(len(context.rows)),
            losses=context.mean_losses(),
            steps=context.steps,
            seconds=time.perf_counter() - start,
            events=context.events(),
        )

    def generate(self, task: GenerateTask, broadcast: Packed) -> GenerateReply:
        """Report on one batch of films."""
        start = time.perf_counter()
        algorithm, personal = self.spec.algorithm, None
        if task.personal is not None:
            personal = unpack(task.personal)[PERSONAL]
        server = ServerState(unpack(broadcast)["shared"])
        unadapted = {name: self.initial[name] for name in self.personal_names()}
        load_state(self.model, {**unadapted, **algorithm.eval_params(server, personal)})
        self.model.eval()
        rows = np.array(task.rows)
        path = algorithm.reading_path(personal=personal is not None)
        with autocast(self.spec.device):
            states = self.states(rows) if task.oracle else None
            writing = self.model.generate(self.images(rows), path, states, algorithm.prompt_guidance())
        head = None if writing.head is None else writing.head.numpy()
        return GenerateReply(writing.reports, head, time.perf_counter() - start)

    def images(self, rows: np.ndarray) -> Tensor:
        """Films as uint8 [k, S, S] on the worker's device."""
        return self._there(torch.from_numpy(np.ascontiguousarray(self.federation.images(rows))))

    def states(self, rows: np.ndarray) -> Tensor:
        """Label states int64 [k, 14] on the worker's device."""
        return self._there(torch.from_numpy(self.federation.labels[rows].astype(np.int64)))

    def batch(self, rows: np.ndarray) -> Batch:
        """Everything that training needs of some studies."""
        tokens, mask = self.model.text.batch([self.federation.reports[row] for row in rows])
        return Batch(self.images(rows), self._there(tokens), self._there(mask), self.states(rows))

    def _there(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.spec.device.device)


class ClientContext:
    """The `Client` of DESIGN section 4: what an algorithm's script is given for one client and one round."""

    def __init__(
        self, worker: Worker, hospital: Hospital, round_number: int, received: Payload, private: Payload
    ) -> None:
        self.client_id = hospital.name
        self.model = worker.model
        device = worker.spec.device.device
        memory = {k.removeprefix(MEMORY): v for k, v in private.items() if k.startswith(MEMORY)}
        self.received, self.memory = _on(device, received), _on(device, memory)
        self.scratch: dict[str, Tensor] = {}
        self.last_epoch = False
        self.steps = 0
        self.rows = hospital.rows["train"]
        self._worker, self._round, self._arrived = worker, round_number, received
        self._micro = MicroBatcher(self._mark)
        self._losses: dict[str, Tensor] = {}
        self._loss = 0.0
        self.label_prior = label_prior(worker.federation.labels[self.rows]).to(device)
        self._shared = {name: worker.moving[name] for name in worker.shared_names()}
        self._personal = {name: worker.moving[name] for name in worker.personal_names()}

    def shared(self) -> State:
        return dict(_parameters(self._shared))

    def delta(self) -> State:
        now = {name: tensor.detach().cpu() for name, tensor in self._shared.items()}
        return tree.subtract(now, self._arrived["shared"], self._worker.alloc)

    def log(self, name: str, value: Tensor) -> None:
        value = value.detach() * self._micro.share if self._micro.share < 1 else value.detach()
        self._losses[name] = self._losses[name] + value if name in self._losses else value

    def fit(self) -> None:
        spec = self._worker.spec
        shared, personal = _parameters(self._shared), _parameters(self._personal)
        groups = parameter_groups({**shared, **personal}, spec.train, spec.train.scale(self._round))
        steps, loss = fit(
            self._batches(),
            self._local_loss,
            build_optimizer(groups, spec.train.optimizer, spec.train.weight_decay),
            (list(shared.values()), list(personal.values())),
            spec.train.clip_norm,
            micro=self._micro,
        )
        self.steps += steps
        self._loss = loss

    def _local_loss(self, batch: Batch) -> Tensor:
        spec = self._worker.spec
        with autocast(spec.device):
            return spec.algorithm.local_loss(self, batch)

    def _mark(self) -> Callable[[], None]:
        """What is noted so far; the function that comes back takes back what was noted since."""
        losses, scratch = dict(self._losses), dict(self.scratch)

        def take_back() -> None:
            self._losses, self.scratch = dict(losses), dict(scratch)

        return take_back

    def events(self) -> tuple[dict[str, Any], ...]:
        """Micro-batches, where memory did not suffice for whole ones."""
        size = self._micro.size
        if not size:
            return ()
        said = f"memory for {size} studies at a time; terms that compare studies of a batch saw only those"
        return ({"kind": "micro_batch", "client": self.client_id, "round": self._round, "size": size, "message": said},)

    def _batches(self) -> Iterator[Batch]:
        seed, number = self._worker.spec.seed, self._round
        draws = lambda epoch: generator(seed, number, self.client_id, "batches", epoch)  # noqa: E731
        lengths = self._worker.federation.reports.lengths[self.rows]
        for rows, last in batch_rows(self.rows, lengths, self._worker.spec.train, draws):
            self.last_epoch = last
            yield self._worker.batch(rows)

    def mean_losses(self) -> dict[str, float]:
        """The loss and its logged parts, means over the round's steps."""
        parts = {name: float(total) / max(self.steps, 1) for name, total in self._losses.items()}
        return {"loss": self._loss, **parts}

    def private_state(self, residue: State) -> Payload:
        """What goes back to the driver's store, and nowhere else."""
        groups: dict[str, Any] = {f"{MEMORY}{name}": state for name, state in self.memory.items()}
        if self._personal:
            groups[PERSONAL] = {name: p.detach().cpu().clone() for name, p in self._personal.items()}
        if residue:
            groups[RESIDUE] = residue
        return groups


def _on(device: str, payload: Payload) -> Payload:
    """The tensors on the device; those that are there already are the same objects."""
    return {group: {name: tensor.to(device) for name, tensor in state.items()} for group, state in payload.items()}


def _parameters(state: State) -> dict[str, torch.nn.Parameter]:
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.nn.Parameter)}


def label_prior(labels: np.ndarray) -> Tensor:
    """p_d = (n_pos + 1) / (n + 2) per condition; labels int8 [n, 14] -> float32 [14]."""
    positive = (labels == LabelState.POSITIVE).sum(axis=0) if len(labels) else np.zeros(len(CONDITIONS))
    return torch.from_numpy(((positive + 1) / (len(labels) + 2)).astype(np.float32))
