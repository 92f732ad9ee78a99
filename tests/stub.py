"""A federation of milliseconds for algorithms' tests: the real engine on a model with a quadratic loss.

A study is a point x in the plane. The model is a vector e (`encoder.weight` [2]) and a matrix W (`lm.q_proj.weight`
[3, 2]; with LoRA W is frozen and s B A is added, s = alpha / rank). Its loss is the mean over a batch's studies of

    |e - x|^2 / 2 + sum over the rows of W: |row - x|^2 / 2

so that the gradient of e, and of each row of W, is the parameter minus the mean of the batch. A "report" is the printed
e and W that generated it. `StubRun(algorithm)` runs rounds of it, through Worker, ClientContext and run_rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import POOLED, Hospital, pooled
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.device import DeviceConfig
from fedmrg_core.engine.failures import Policy
from fedmrg_core.engine.memory.wire import unpack
from fedmrg_core.engine.pool import SerialPool
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import RoundRecord, run_rounds
from fedmrg_core.engine.trainer import TrainConfig
from fedmrg_core.engine.worker import Worker
from fedmrg_core.evaluate import EvaluateConfig, evaluate
from fedmrg_core.models.report_model import Batch, DecoderOutput, Generation, Reading, VisionOutput
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.types import Payload, State

E, W = "encoder.weight", "lm.q_proj.weight"
STATISTIC = "norm.running_mean"
A, B = "lm.q_proj.lora_A.{}.weight", "lm.q_proj.lora_B.{}.weight"
POINTS: dict[str, list[tuple[float, float]]] = {
    "h01": [(1.0, 0.0), (3.0, 0.0), (2.0, 3.0), (2.0, 1.0)],
    "h02": [(-1.0, 2.0), (-3.0, 2.0)],
    "h03": [(0.0, -4.0)],
}
"""Training studies of three hospitals with means (2, 1), (-2, 2), (0, -4); weights 4/7, 2/7, 1/7."""
TRAIN = TrainConfig(
    rounds=2, participation=1.0, local_epochs=2, local_steps=0, batch_size=2, optimizer="sgd", lr=0.1, adapter_lr=0.1,
    schedule="constant", weight_decay=0.0, clip_norm=0.0,
)  # fmt: skip
VIEWS = EvaluateConfig(("test", "unseen"), batch_size=2, labeler="rules", weights="", resamples=0, oracle=False)


class StubModel(nn.Module):
    """The model of this file's first lines. start: values that parameters begin with, instead of 0. statistic: add a
    running statistic, which counts the batches seen in training."""

    def __init__(self, start: Mapping[str, Sequence[Any]] | None = None, statistic: bool = False) -> None:
        super().__init__()
        self._start = {E: [0.0, 0.0], W: [[0.0, 0.0]] * 3, **(start or {})}
        self._scale = 1.0
        self.config = SimpleNamespace(prompt_from_head=0.0, lm_bits=32)
        for name in (E, W):
            self._add(name)
        if statistic:
            self.norm = nn.Module()
            self.norm.register_buffer("running_mean", torch.zeros(1))

    def _add(self, name: str, shape: tuple[int, ...] = ()) -> None:
        value = torch.tensor(self._start[name]) if name in self._start else torch.zeros(shape)
        *path, last = name.split(".")
        module: nn.Module = self
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        module.register_parameter(last, nn.Parameter(value))

    def tune(self, tuning: Tuning, adapters: Sequence[str], diagnosis: bool, seed: int) -> None:
        if not tuning.lora:
            return
        self.get_parameter(W).requires_grad_(False)
        self._scale = tuning.alpha / tuning.rank
        for name in adapters:
            first = [[0.3 / (1 + row), 0.3 * (-1) ** row / (1 + row)] for row in range(tuning.rank)]
            self._start.setdefault(A.format(name), first)
            self._add(A.format(name))
            self._add(B.format(name), (3, tuning.rank))

    def trainable(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def buffers_of_state(self) -> State:
        return dict(self.named_buffers())

    def matrix(self, adapters: Sequence[str] | Mapping[str, Any], constant: Sequence[str] = ()) -> Tensor:
        """W + s B A, or one matrix per study where a weight is a tensor [B]."""
        total: Tensor = self.get_parameter(W)
        for name in adapters:
            weight = adapters[name] if isinstance(adapters, Mapping) else 1.0
            weight = weight.view(-1, 1, 1) if isinstance(weight, Tensor) else weight
            if A.format(name) in dict(self.named_parameters()):
                product = self.get_parameter(B.format(name)) @ self.get_parameter(A.format(name))
                total = total + weight * self._scale * (product.detach() if name in constant else product)
        return total

    def prompts(self, states: Tensor) -> Tensor:
        """Prompts of no token: methods with prompts run on the stub with `dx_weight=0`."""
        return torch.zeros(len(states), 0, 2)

    def encode(self, images: Tensor) -> VisionOutput:
        if self.training and hasattr(self, "norm"):
            self.get_buffer(STATISTIC).add_(1)
        prefix = (self.encoder.weight - images)[:, None]
        return VisionOutput(images[:, None], images, prefix, None)

    def decode(
        self, batch: Batch, prefix: Tensor, prompts: Tensor | None, adapters: Any = ("generic",), constant: Any = ()
    ) -> DecoderOutput:
        off = self.matrix(adapters, constant) - batch.images[:, None]
        loss = 0.5 * (prefix.square().sum(dim=(1, 2)) + off.square().sum(dim=(1, 2))).mean()
        return DecoderOutput(off, off, loss)

    @torch.no_grad()
    def read(self, images: Tensor, adapters: Any, states: Any = None, prompt_weight: float = 1.0) -> Reading:
        weights = adapters(self.encode(images)) if callable(adapters) else adapters
        return Reading(images, weights, None, None)

    @torch.no_grad()
    def write(self, read: Reading, *how: Any) -> Generation:
        each = self.matrix(read.adapters).expand(len(read.context), 3, 2)
        return Generation([written(self.get_parameter(E), matrix) for matrix in each], None, [False] * len(each))

    @torch.no_grad()
    def reference_nll(self, batch: Batch, read: Reading) -> Tensor:
        off = self.matrix(read.adapters) - batch.images[:, None]
        return (self.encode(batch.images).prefix.square().sum(dim=(1, 2)) + off.square().sum(dim=(1, 2))).double() / 2


def written(e: Tensor, w: Tensor) -> str:
    """The report that these parameters generate."""
    return f"e = {e.tolist()}, W = {w.tolist()}"


def numbers(report: str) -> Tensor:
    """The parameters that a report prints, for comparisons up to rounding."""
    return torch.tensor([float(word.strip("[],")) for word in report.split() if word not in ("e", "W", "=")])


@dataclass(frozen=True)
class Reports(Sequence[str]):
    """Every report is one word long."""

    lengths: np.ndarray

    def __getitem__(self, row: Any) -> Any:
        return f"study {row}"

    def __len__(self) -> int:
        return len(self.lengths)


def stub_federation(
    points: Mapping[str, Sequence[tuple[float, float]]], unseen: Sequence[tuple[float, float]] = ()
) -> Any:
    """Hospitals whose training studies are these points; each has two test studies, (1, 1) and (2, 2). unseen: those of
    h09, which takes no part."""
    hospitals, images = [], []
    for name, own in {**points, "h09": unseen}.items():
        start, train, test = len(images), np.arange(len(own)), len(own) + np.arange(2)
        images += [*own, (1.0, 1.0), (2.0, 2.0)]
        rows = {"train": start + train, "val": start + test, "test": start + test}
        hospitals.append(Hospital(name, name in points, rows))
    count = len(images)
    return SimpleNamespace(
        hospitals=hospitals,
        points=torch.tensor(images),
        reports=Reports(np.ones(count, dtype=np.int64)),
        labels=np.zeros((count, 14), dtype=np.int8),
        study_ids=[f"s{row:02d}" for row in range(count)],
        patient_ids=[f"p{row:02d}" for row in range(count)],
        data_sha256="stub",
    )


class StubWorker(Worker):
    """A worker with the stub model; everything else is the real one's."""

    def __init__(self, spec: WorkerSpec, federation: Any, model: StubModel) -> None:
        self.spec, self.federation = spec, federation
        self.hospitals = {hospital.name: hospital for hospital in federation.hospitals}
        self.hospitals[POOLED] = pooled(federation.hospitals)
        spec.algorithm.configure_model(model, spec.seed)  # type: ignore[arg-type]
        self._hold(model)  # type: ignore[arg-type]

    def images(self, rows: np.ndarray) -> Tensor:
        points: Tensor = self.federation.points[rows]
        return points

    def batch(self, rows: np.ndarray) -> Batch:
        mask = torch.ones(len(rows), 1, dtype=torch.bool)
        return Batch(self.images(rows), mask.long(), mask, self.states(rows))


@dataclass
class StubRun:
    """Rounds of an algorithm on the stub, and what they left: server, store, logs, worker.

    train: fields of TrainConfig that differ from `TRAIN`. start: parameters' first values.
    """

    algorithm: Algorithm
    train: Mapping[str, Any] = field(default_factory=dict)
    points: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=lambda: POINTS)
    start: Mapping[str, Sequence[Any]] | None = None
    resume: tuple[ServerState, ClientStore] | None = None
    policy: Policy | None = None
    worker_class: Callable[..., StubWorker] = StubWorker
    statistic: bool = False
    seed: int = 0
    unseen: Sequence[tuple[float, float]] = ()

    def __post_init__(self) -> None:
        self.config = replace(TRAIN, **self.train)
        spec = WorkerSpec("", "", None, self.algorithm, self.config, self.seed, DeviceConfig())  # type: ignore[arg-type]
        self.federation = stub_federation(self.points, self.unseen)
        self.worker = self.worker_class(spec, self.federation, StubModel(self.start, self.statistic))
        self.pool = SerialPool(self.worker)
        self.logs: list[RoundRecord] = []
        shared = {name: self.worker.initial[name] for name in self.worker.shared_names()}
        self.initial = self.algorithm.init_server(shared, len(self.points))
        server, self.store = self.resume or (self.initial, ClientStore())
        fixed = (self.algorithm, self.federation, self.config, self.seed, self.pool)
        self.server = run_rounds(*fixed, server, self.store, self._log, self.policy)

    def _log(self, server: ServerState, store: ClientStore, log: RoundRecord) -> None:
        self.logs.append(log)

    def private(self, client_id: str) -> Payload:
        """The groups that a client has stored, memory groups under `memory:`."""
        return unpack(self.store.get(client_id))

    def reports(self, **changes: Any) -> dict[tuple[str, str, str], list[str]]:
        """(part, view, hospital) -> the reports of its test studies."""
        views = replace(VIEWS, **changes)
        frame = evaluate(self.algorithm, self.federation, self.server, self.store, self.pool, views, self.seed)
        groups = frame.groupby(["part", "view", "hospital"], sort=False)
        return {(str(p), str(v), str(h)): list(rows.hypothesis) for (p, v, h), rows in groups}


def means(points: Mapping[str, Sequence[tuple[float, float]]] = POINTS) -> dict[str, Tensor]:
    """Each hospital's mean training study: where its own loss is least."""
    return {name: torch.tensor(own).mean(dim=0) for name, own in points.items()}
