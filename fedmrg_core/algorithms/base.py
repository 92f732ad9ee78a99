"""The algorithm interface. The base class *is* FedAvg; a subclass overrides only what its paper changes.

A toy algorithm that halves the server's step, in full:

    @register("halfavg")
    @dataclass(frozen=True)
    class HalfAvg(Algorithm):
        def server_step(self, server, mean_delta):
            return server.moved(tree.add(server.params, mean_delta, scale=0.5))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.codec import IDENTITY, Codec
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.models.tuning import FULL, Tuning
from fedmrg_core.types import Payload, State


@dataclass(frozen=True)
class ServerState:
    """All that the server knows between rounds; with the clients' private states, all that a resume needs.

    params: the shared parameters. memory: an algorithm's own named groups (prototypes, momentum, control variates).
    round: rounds finished. diagnostics: figures of the last round for the log (not part of the state's identity).
    """

    params: State
    memory: Payload = field(default_factory=dict)
    round: int = 0
    diagnostics: Mapping[str, float] = field(default_factory=dict)

    def moved(self, params: State) -> ServerState:
        """The state with new shared parameters."""
        return replace(self, params=params)


@dataclass(frozen=True)
class Update:
    """One client's decoded upload. weight: its number of training studies."""

    client_id: str
    weight: float
    payload: Payload


def _weighted_delta(update: Update) -> tuple[State, float]:
    return update.payload["delta"], update.weight


class Client(Protocol):
    """What a client's script may touch. It never sees another client, the server's state or a test study."""

    client_id: str
    model: ReportModel
    received: Payload
    """The broadcast, as decoded on this client; its group "shared" is loaded into the model already."""
    memory: Payload
    """The algorithm's private state on this client: what is put here comes back next round; it never travels."""
    scratch: dict[str, Tensor]
    """Empty at the start of each round and gone at its end."""
    label_prior: Tensor
    """p_d = (n_pos + 1) / (n + 2) per condition [14], on this client's own training part."""
    last_epoch: bool

    def fit(self) -> None:
        """Run the round's local training with the algorithm's `local_loss`."""

    def delta(self) -> State:
        """Shared parameters now, less the ones received."""

    def shared(self) -> State:
        """The live shared parameters (not a copy), for terms in a loss."""

    def log(self, name: str, value: Tensor) -> None:
        """Record a part of the loss (a scalar); the round's row holds its mean over steps."""


@dataclass(frozen=True)
class Algorithm:
    """FedAvg (McMahan et al., AISTATS 2017): the mean of the clients' models, weighted by their number of studies.

    tuning: FULL or LoRA, an axis of its own. codec: how deltas are compressed on their way up.
    """

    tuning: Tuning = FULL
    codec: Codec = IDENTITY

    diagnosis: ClassVar[bool] = False
    """Whether the model has its diagnosis branch (D, Q)."""
    adapters: ClassVar[tuple[str, ...]] = ("generic",)
    """LoRA adapters to create, where tuning is LoRA."""
    trains: ClassVar[bool] = True
    """False for a trivial row: no round is run."""

    # ---- both sides, once per process

    def configure_model(self, model: ReportModel, seed: int) -> None:
        """Set what is trainable, add adapters; the base's weights are loaded already."""
        model.tune(self.tuning, self.adapters, self.diagnosis, seed)

    def is_shared(self, name: str) -> bool:
        """Whether a trainable parameter travels; one that does not is personal."""
        return True

    # ---- server

    def init_server(self, params: State, num_clients: int) -> ServerState:
        """The server before the first round; `params` are the model's shared parameters."""
        return ServerState(params)

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        """What goes down to one client. Tensors that are the same objects for all clients are sent once."""
        return {"shared": server.params}

    def aggregate(self, server: ServerState, updates: Iterable[Update]) -> ServerState:
        """Fold the cohort's updates, which arrive one at a time in an order that does not depend on placement.

        An update that is let go of before the next is asked for (as `map` does) frees its memory for that one.
        """
        return self.server_step(server, tree.weighted_mean(map(_weighted_delta, updates)))

    def server_step(self, server: ServerState, mean_delta: State) -> ServerState:
        """Move the shared parameters by the mean delta."""
        return server.moved(tree.add(server.params, mean_delta))

    # ---- client

    def client_round(self, client: Client) -> Payload:
        """One client's work in a round; returns what it sends up."""
        client.fit()
        return {"delta": client.delta()}

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        """Next-token cross-entropy on report tokens."""
        vision = client.model.encode(batch.images)
        return client.model.decode(batch, vision.prefix, None, self.adapters).loss

    # ---- inference

    def prompt_guidance(self) -> float:
        """How strongly reports follow their diagnosis prompt, as `ReportModel.write` takes it."""
        return 1.0

    def reading_path(self, personal: bool) -> Sequence[str]:
        """Adapters that a report is written with, in the personal or the global view."""
        return self.adapters

    def eval_params(self, server: ServerState, personal: State | None) -> State:
        """Parameters to evaluate; personal=None: the global view, or an unseen client."""
        return server.params if personal is None else {**server.params, **personal}

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str] | None:
        """Reports of a trivial row, which reads no film: from `corpus`, the seen hospitals' training
        reports. None: the model writes."""
        return None


Algorithms = dict[str, type[Algorithm]]
REGISTRY: Algorithms = {}


def register(name: str) -> Any:
    """Class decorator that makes an algorithm known under `name` (a config's `method`)."""

    def add(cls: type[Algorithm]) -> type[Algorithm]:
        if name in REGISTRY:
            raise ValueError(f"two algorithms are registered as '{name}'")
        REGISTRY[name] = cls
        return cls

    return add


register("fedavg")(Algorithm)
