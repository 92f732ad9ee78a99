"""One process's copy of the model and the data, which every client's work on that process uses in turn."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.data.cache.federation import POOLED, Federation, pooled
from fedmrg_core.engine.device import DeviceConfig, configure_device, to_device
from fedmrg_core.engine.failures import Fault
from fedmrg_core.engine.memory.process import configure_process, trim_heap
from fedmrg_core.engine.memory.shared_weights import MIN_SHARED_BYTES, SharedWeights
from fedmrg_core.engine.trainer import TrainConfig
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.generation import GREEDY, GenerationConfig
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.models.report_model import Batch, ReportModel, build_model, load_state
from fedmrg_core.models.rounded import WHOLE
from fedmrg_core.types import State


@dataclass(frozen=True)
class WorkerSpec:
    """Everything a process needs to become a worker; small, and the same for all of them. min_shared_bytes: the
    processes of a machine share the frozen parameters if these have at least so many bytes."""

    federation: str
    base: str
    model: ModelConfig
    algorithm: Algorithm
    train: TrainConfig
    seed: int
    device: DeviceConfig
    faults: tuple[Fault, ...] = ()
    generation: GenerationConfig = GREEDY
    min_shared_bytes: int = MIN_SHARED_BYTES


class Replica:
    """The model as the algorithm configures it, and the federation's data; both are loaded once."""

    def __init__(self, spec: WorkerSpec) -> None:
        configure_process()
        configure_device(spec.device)
        self.spec = spec
        self.federation = Federation.open(Path(spec.federation))
        self.hospitals = {hospital.name: hospital for hospital in self.federation.hospitals}
        if spec.algorithm.pools:
            self.hospitals[POOLED] = pooled(self.federation.hospitals)
        frozen = SharedWeights(Path(spec.base), spec.min_shared_bytes)
        pretrained = not get_language_model(spec.model.lm).trained_here
        with frozen if pretrained and spec.device.device == "cpu" else nullcontext():
            self._hold(self._build())
            self.shared_bytes = frozen.share(self.model, self.moving)

    def _hold(self, model: ReportModel) -> None:
        """Use this model from now on. moving: the parameters and buffers that training changes."""
        self.model = model
        self.moving: State = {**model.trainable(), **model.buffers_of_state()}
        self.initial = tree.clone({name: tensor.cpu() for name, tensor in self.moving.items()})
        self._frozen: State = {}

    def _build(self) -> ReportModel:
        """The model as the algorithm configures it: once in a worker's life."""
        spec = self.spec
        model = build_model(spec.model, Path(spec.base), spec.seed)
        if spec.model.lm_bits != WHOLE:
            trim_heap()  # of the whole weights that were rounded
        model.check_length(spec.generation.longest(spec.model.max_tokens))
        spec.algorithm.configure_model(model, spec.seed)
        if spec.device.gradient_checkpointing:
            model.checkpoint_gradients()
        return model.to(spec.device.device)

    def shared_names(self) -> list[str]:
        """Names that travel: trainable parameters in the model's order, then running statistics."""
        return self.spec.algorithm.shared_names(self.model, self.initial)

    def personal_names(self) -> list[str]:
        """Names that training moves but that never travel."""
        shared = set(self.shared_names())
        return [name for name in self.initial if name not in shared]

    def load(self, state: State) -> None:
        """Copy tensors into the model by name. Frozen ones among them are remembered first, for `start_from`."""
        frozen = {name for name in state if name not in self.moving and name not in self._frozen}
        if frozen:
            own = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
            self._frozen.update(tree.clone({name: own[name] for name in sorted(frozen)}))
        load_state(self.model, state)

    def start_from(self, state: State) -> None:
        """Begin a task: the given tensors, and everything that the last task changed besides as it was at the start."""
        unadapted = {name: self.initial[name] for name in self.personal_names()}
        self.load({**self._frozen, **unadapted, **state})

    def images(self, rows: np.ndarray) -> Tensor:
        """Films as uint8 [k, S, S] on the worker's device."""
        return self._to_device(torch.from_numpy(np.ascontiguousarray(self.federation.images(rows))))

    def states(self, rows: np.ndarray) -> Tensor:
        """Label states int64 [k, 14] on the worker's device."""
        return self._to_device(torch.from_numpy(self.federation.labels[rows].astype(np.int64)))

    def batch(self, rows: np.ndarray) -> Batch:
        """Images, tokens and label states of some studies, for training."""
        tokens, mask = self.model.tokenizer.batch([self.federation.reports[row] for row in rows])
        return Batch(self.images(rows), self._to_device(tokens), self._to_device(mask), self.states(rows))

    def _to_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.spec.device.device)
