"""One client in one round: what an algorithm's script (`client_round`) works with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import LocalLoss, Parts
from fedmrg_core.data.cache.federation import Hospital
from fedmrg_core.engine.device import autocast
from fedmrg_core.engine.messages import MEMORY, PERSONAL, RESIDUE, memory_of
from fedmrg_core.engine.replica import Replica
from fedmrg_core.engine.trainer import MicroBatcher, batch_rows, build_optimizer, fit, parameter_groups
from fedmrg_core.models.report_model import Batch
from fedmrg_core.models.tuning import AdapterWeights
from fedmrg_core.seeding import generator
from fedmrg_core.types import CONDITIONS, LabelState, Payload, State

T = TypeVar("T", bound=Tensor)


class ClientContext:
    """The `Client` protocol of `algorithms/base.py`, on a replica of the model, for one client and one round."""

    def __init__(
        self,
        replica: Replica,
        hospital: Hospital,
        round_number: int,
        received: Payload,
        private: Payload,
        alloc: tree.Allocator = tree.alloc,
    ) -> None:
        """received: the broadcast. private: the client's stored groups. alloc: gives the buffer of the upload."""
        self.client_id = hospital.name
        self.model = replica.model
        device = replica.spec.device.device
        self.received, self.memory = _on(device, received), _on(device, memory_of(private))
        self.scratch: dict[str, Tensor] = {}
        self.last_epoch = False
        self.steps = self.studies = 0
        self.rows = hospital.rows["train"]
        self._validation = hospital.rows["val"]
        self.lr = replica.spec.train.lr * replica.spec.train.scale(round_number)
        self._replica, self._round, self._arrived, self._alloc = replica, round_number, received, alloc
        self._micro = MicroBatcher(self._snapshot)
        self._losses: dict[str, Tensor] = {}
        self._means: list[tuple[int, dict[str, float]]] = []
        self.label_prior = label_prior(replica.federation.labels[self.rows]).to(device)
        self._shared = {name: replica.moving[name] for name in replica.shared_names()}
        self._personal = {name: replica.moving[name] for name in replica.personal_names()}

    def shared(self) -> State:
        return dict(_parameters(self._shared))

    def personal(self) -> State:
        return dict(_parameters(self._personal))

    def state(self) -> State:
        return tree.clone({**self._shared, **self._personal})

    def load(self, state: State) -> None:
        self._replica.load(state)

    @torch.no_grad()
    def validation_nll(self, adapters: AdapterWeights) -> float:
        spec, model = self._replica.spec, self.model
        weight, size = spec.algorithm.prompt_weight(), spec.train.batch_size
        nats = tokens = 0.0
        model.eval()
        for start in range(0, len(self._validation), size):
            batch = self._replica.batch(self._validation[start : start + size])
            with autocast(spec.device):
                read = model.read(batch.images, adapters, None, weight)
                nats += float(model.reference_nll(batch, read).sum())
            tokens += float(batch.mask.sum())
        model.train()
        return nats / tokens if tokens else math.inf

    def delta(self) -> State:
        now = {name: tensor.detach().cpu() for name, tensor in self._shared.items()}
        return tree.subtract(now, self._arrived["shared"], self._alloc)

    def log(self, name: str, value: Tensor) -> None:
        value = value.detach() * self._micro.share if self._micro.share < 1 else value.detach()
        self._losses[name] = self._losses[name] + value if name in self._losses else value

    def fit(
        self,
        parts: Parts | None = None,
        loss: LocalLoss | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        rate: float | None = None,
    ) -> int:
        spec = self._replica.spec
        chosen = [_chosen(_parameters(state), parts) for state in (self._shared, self._personal)]
        if parts is not None and not any(chosen):
            return 0
        steps = spec.train.steps_of(len(self.rows), epochs, steps)
        groups = parameter_groups({**chosen[0], **chosen[1]}, spec.train, rate or spec.train.scale(self._round))
        with self._held({**chosen[0], **chosen[1]}, parts):
            done, mean = fit(
                self._batches(steps),
                lambda batch: self._local_loss(batch, loss),
                build_optimizer(groups, spec.train.optimizer, spec.train.weight_decay),
                [list(group.values()) for group in chosen],
                spec.train.clip_norm,
                micro=self._micro,
            )
        self.steps += done
        name = "loss" if loss is None else getattr(loss, "__name__", "")
        self._note(name if name.isidentifier() else "other_loss", mean, done)
        return done

    def _local_loss(self, batch: Batch, loss: LocalLoss | None = None) -> Tensor:
        spec = self._replica.spec
        with autocast(spec.device):
            return (loss or spec.algorithm.local_loss)(self, batch)

    @contextmanager
    def _held(self, chosen: State, parts: Parts | None) -> Iterator[None]:
        """Inside the block only the chosen parameters need gradients; running statistics that `parts` does not select
        come back as they were."""
        if parts is None:
            yield
            return
        moving = {**self._shared, **self._personal}
        held = [p for name, p in _parameters(moving).items() if name not in chosen]
        buffers = {n: t for n, t in moving.items() if not isinstance(t, torch.nn.Parameter)}
        before = tree.clone({n: t for n, t in buffers.items() if n not in _chosen(buffers, parts)})
        for parameter in held:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in held:
                parameter.requires_grad_(True)
                parameter.grad = None
            self.load(before)

    def _note(self, name: str, mean: float, steps: int) -> None:
        """Close the books of one fit: the means of its loss and of the parts that it logged."""
        parts = {part: float(total) / max(steps, 1) for part, total in self._losses.items()}
        self._means.append((steps, {name: mean, **parts}))
        self._losses = {}

    def _snapshot(self) -> Callable[[], None]:
        """Remember what is logged so far; returns a function that forgets what was logged since."""
        losses, scratch = dict(self._losses), dict(self.scratch)

        def undo() -> None:
            self._losses, self.scratch = dict(losses), dict(scratch)

        return undo

    def events(self) -> tuple[dict[str, Any], ...]:
        """Micro-batches, if memory did not suffice for whole batches."""
        size = self._micro.size
        if not size:
            return ()
        said = f"memory for {size} studies at a time; terms that compare studies of a batch saw only those"
        return ({"kind": "micro_batch", "client": self.client_id, "round": self._round, "size": size, "message": said},)

    def _batches(self, steps: int) -> Iterator[Batch]:
        seed, number = self._replica.spec.seed, self._round
        draws = lambda epoch: generator(seed, number, self.client_id, "batches", epoch)  # noqa: E731
        lengths = self._replica.federation.reports.lengths[self.rows]
        for rows, last in batch_rows(self.rows, lengths, self._replica.spec.train.batch_size, steps, draws):
            self.last_epoch = last
            self.studies += len(rows)
            yield self._replica.batch(rows)

    def mean_losses(self) -> dict[str, float]:
        """Every fit's loss and its logged parts: means over the steps of the fits that have them."""
        if self._losses:
            self._note("", 0.0, 1)  # logged outside a fit
        names = {name: None for _, means in self._means for name in means if name}
        found = {name: [(steps, means[name]) for steps, means in self._means if name in means] for name in names}
        return {"loss": 0.0, **{name: _mean(values) for name, values in found.items()}}

    def private_state(self, residue: State) -> Payload:
        """The groups that go to the driver's store, and nowhere else."""
        groups: dict[str, Any] = {f"{MEMORY}{name}": state for name, state in self.memory.items()}
        if self._personal:
            groups[PERSONAL] = {name: p.detach().cpu().clone() for name, p in self._personal.items()}
        if residue:
            groups[RESIDUE] = residue
        return groups


def _mean(values: list[tuple[int, float]]) -> float:
    if len(values) == 1:
        return values[0][1]
    return sum(steps * value for steps, value in values) / max(sum(steps for steps, _ in values), 1)


def _on(device: str, payload: Payload) -> Payload:
    """The tensors on the device; those that are on it already are the same objects."""
    return {group: {name: tensor.to(device) for name, tensor in state.items()} for group, state in payload.items()}


def _parameters(state: State) -> dict[str, torch.nn.Parameter]:
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.nn.Parameter)}


def _chosen(state: dict[str, T], parts: Parts | None) -> dict[str, T]:
    if parts is None:
        return state
    chosen = parts if callable(parts) else lambda name: name.startswith(tuple(parts))
    return {name: value for name, value in state.items() if chosen(name)}


def label_prior(labels: np.ndarray) -> Tensor:
    """p_d = (n_pos + 1) / (n + 2) per condition; labels int8 [n, 14] -> float32 [14]."""
    positive = (labels == LabelState.POSITIVE).sum(axis=0) if len(labels) else np.zeros(len(CONDITIONS))
    return torch.from_numpy(((positive + 1) / (len(labels) + 2)).astype(np.float32))
