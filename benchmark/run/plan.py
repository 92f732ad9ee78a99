"""What a federation would cost, before it has data or weights: parameters, bytes, memory, time.

make_plan(settings.load("fedmrg"), clients=5, studies=400).mean_bytes("upload", 0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from benchmark.run.algorithm_list import PARTS
from benchmark.run.probe import Probe, free_memory, probe
from benchmark.run.settings import Config
from benchmark.run.traffic import Traffic, traffic
from fedmrg_core.adapter_names import is_adapter
from fedmrg_core.algorithms.base import Algorithm, ServerState, Update
from fedmrg_core.data.cache.federation import POOLED
from fedmrg_core.engine.model_check import AnyWords, trial_step
from fedmrg_core.engine.rounds import cohort_size
from fedmrg_core.errors import ConfigError, FedMRGError
from fedmrg_core.models.pretrained import config_of
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.models.report_model import ReportModel
from fedmrg_core.models.rounded import saved_bytes
from fedmrg_core.models.shapes import shapes_only
from fedmrg_core.types import Payload, State

LIBRARIES = 300e6
"""Bytes that a worker process has before it has a model (docs/measurements.md)."""


@dataclass(frozen=True)
class Part:
    """Parameters of a part of the model: all, those that training moves, those that travel."""

    name: str
    all: int
    trained: int
    sent: int


@dataclass(frozen=True)
class Plan:
    """steps: of a client per round. parts: of the model. statistics: number of running statistics, which travel too.
    rounds: each client's traffic in the first round, and in the second, when the server has what it collects.
    weights, moving: number of parameters, and of what training moves. activations: bytes of one step on a batch.
    saved: bytes by which rounding makes the weights smaller. probe: None if none was made; why_not says why."""

    config: Config
    clients: int
    cohort: int
    steps: int
    parts: list[Part]
    statistics: int
    rounds: list[dict[str, Traffic]]
    weights: int
    moving: int
    activations: int
    saved: float = 0.0
    probe: Probe | None = None
    why_not: str = ""

    def mean_bytes(self, direction: str, round_number: int) -> float:
        """Bytes of a client in a round, mean over clients."""
        found = [one.total(direction) for one in self.rounds[min(round_number, len(self.rounds) - 1)].values()]
        return sum(found) / len(found)

    @property
    def memory(self) -> float:
        """Bytes of an actor at its peak: libraries; weights; training state; the activations of one step. All in
        float32."""
        return LIBRARIES + 4.0 * self.weights - self.saved + self.state + self.activations

    @property
    def state(self) -> float:
        """Bytes of a first copy, gradients and AdamW's two moments of what moves; and of the broadcast, the update and
        its packed form of what travels."""
        return 4.0 * (4 * self.moving + 3 * sum(part.sent for part in self.parts))

    @property
    def round_s(self) -> float | None:
        """Seconds of a round, if every actor has a core (or its share of a GPU) to itself."""
        if self.probe is None:
            return None
        turns = ceil(self.cohort / max(1, self.config.pool.actors))
        return turns * (self.probe.besides + self.steps * self.probe.step)


def build_shape(config: Config, device: str = "meta") -> ReportModel:
    """The model as the algorithm configures it, with random values on `device`; on "meta" with none."""
    named = config.model.lm
    words = config.model.vocab_size
    if not get_language_model(named).trained_here:
        words = int(config_of("lm", named).get_text_config().vocab_size)
    with shapes_only(), torch.device(device):
        model = ReportModel(config.model, AnyWords(config.model, words))
    config.algorithm.configure_model(model, config.run.seed)
    return model


def make_plan(config: Config, clients: int, studies: int) -> Plan:
    """studies: training studies of each hospital. Raises ConfigError where the models cannot be built."""
    algorithm = config.algorithm
    if not algorithm.trains:
        raise ConfigError(f"{config.name} trains nothing: there is nothing to plan.")
    model = build_shape(config)
    moving = {**model.trainable(), **model.buffers_of_state()}
    shared = algorithm.shared_names(model, moving)
    names = [POOLED] if algorithm.pools else [f"h{number:02d}" for number in range(1, clients + 1)]
    server = algorithm.init_server(made_up({name: moving[name] for name in shared}), len(names))
    of_client = studies * clients if algorithm.pools else studies
    return Plan(
        config,
        clients=len(names),
        cohort=cohort_size(config.train.participation, len(names)),
        steps=config.train.steps_of(of_client),
        parts=list(_parts(model, set(shared))),
        statistics=sum(moving[name].numel() for name in shared if name not in model.trainable()),
        rounds=traffic_of_rounds(algorithm, server, names),
        weights=sum(p.numel() for p in model.parameters()),
        saved=saved_bytes(model.lm, config.model.lm_bits),
        moving=sum(tensor.numel() for tensor in moving.values()),
        activations=activation_bytes(model, config.train.batch_size, config.device.gradient_checkpointing),
    )


def made_up(state: State) -> State:
    """Tensors of the same names, shapes and types with small random values; whole numbers stay, where there are any."""
    draw = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(t.shape, generator=draw) * 0.01
        if t.is_floating_point()
        else torch.ones(t.shape, dtype=t.dtype)
        if t.is_meta
        else t.clone()
        for name, t in state.items()
    }


def traffic_of_rounds(algorithm: Algorithm, server: ServerState, clients: Sequence[str]) -> list[dict[str, Traffic]]:
    """Each client's bytes in the first round, and in the second, after the server has folded made-up updates."""
    rounds = [{client: traffic(algorithm, server, client) for client in clients}]
    updates = (Update(client, 1.0, _upload(algorithm, server)) for client in clients)
    with suppress(FedMRGError):
        folded = algorithm.aggregate(
            server, list(updates) if algorithm.needs_all else updates, np.random.default_rng(0)
        )
        after = ServerState(folded.params, folded.memory, round=1)
        rounds.append({client: traffic(algorithm, after, client) for client in clients})
    return rounds


def _upload(algorithm: Algorithm, server: ServerState) -> Payload:
    return {group: made_up(state) for group, state in algorithm.upload_layout(server).items()}


def _parts(model: ReportModel, shared: set[str]) -> Iterator[Part]:
    """By part of the model; adapters are parts of their own."""
    found: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        part = next((part for first, part in PARTS.items() if name.startswith(first)), "positions of prompts")
        part = f"{part}, adapters" if is_adapter(name) else part
        size, moves = parameter.numel(), parameter.requires_grad
        row = found.setdefault(part, [0, 0, 0])
        for at, counts in enumerate((True, moves, moves and name in shared)):
            row[at] += size if counts else 0
    yield from (Part(name, *row) for name, row in found.items())


def activation_bytes(model: ReportModel, batch: int, checkpointing: bool) -> int:
    """Bytes of one training step on the longest reports: what it stores for its backward pass, counted on the meta
    device for one study, times the batch; twice the largest of these tensors (the logits), for its gradient and a
    working copy; with checkpointing, what one layer stores when it is computed again. The model has no values
    afterwards."""
    model.to("meta")
    stored, largest = _stored(model)
    if checkpointing:
        model.checkpoint_gradients()
        less, largest = _stored(model)
        stored = less + (stored - less) // model.lm.config.get_text_config().num_hidden_layers
    return (stored + 2 * largest) * batch


def _stored(model: ReportModel) -> tuple[int, int]:
    """Bytes that a step on one study stores for its backward pass, and those of the largest tensor among them."""
    own = {tensor.untyped_storage()._cdata for tensor in model.state_dict().values()}
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            sizes[storage._cdata] = storage.nbytes()
            held.append(tensor)
        return tensor

    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        trial_step(model, model.config.max_tokens)
    return sum(sizes.values()), max(sizes.values(), default=0)


def with_probe(plan: Plan) -> Plan:
    """The plan with a probe's times, if the model fits this machine's memory."""
    needed, free = plan.memory, free_memory()
    if needed > 0.7 * free:
        said = f"the model needs about {needed / 1e9:.0f} GB of memory, this machine has {free / 1e9:.0f} GB left"
        return replace(plan, why_not=said)
    return replace(plan, probe=probe(plan.config, build_shape(plan.config, "cpu"), plan.clients))
