"""The algorithm interface. The base class *is* FedAvg; a subclass overrides only what its paper changes.

A toy algorithm that halves the server's step, in full:

    @register("halfavg")
    @dataclass(frozen=True)
    class HalfAvg(Algorithm):
        def server_step(self, server, mean_delta):
            return server.moved(tree.add(server.params, mean_delta, scale=0.5))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from fedmrg_core import tree
from fedmrg_core.codec import IDENTITY, Codec
from fedmrg_core.models.report_model import Batch, ReportModel, VisionOutput
from fedmrg_core.models.tuning import FULL, AdapterWeights, Tuning
from fedmrg_core.types import Payload, State


@dataclass(frozen=True)
class ServerState:
    """All that the server knows between rounds. With the clients' private states, it is all that a resume needs.

    params: the shared parameters. memory: an algorithm's own named groups (prototypes, momentum, control variates).
    round: rounds finished. diagnostics: figures of the last round for the log (not part of the state's identity).
    """

    params: State
    memory: Payload = field(default_factory=dict)
    round: int = 0
    diagnostics: Mapping[str, float] = field(default_factory=dict)

    def tensors(self) -> State:
        """Every tensor of the state, as `shared/name` and `memory/group/name`: what its identity is hashed over."""
        return {**tree.by_path({"shared": self.params}), **tree.by_path(self.memory, "memory/")}

    def moved(self, params: State) -> ServerState:
        """The state with new shared parameters."""
        return replace(self, params=params)


@dataclass(frozen=True)
class ClientState:
    """What a client stores between rounds and never sends, as the personal view of an evaluation sees it.

    personal: parameters of the model that do not travel; empty before the client's first round. memory: the
    algorithm's own named groups, as the client's script left them.
    """

    client_id: str
    personal: State = field(default_factory=dict)
    memory: Payload = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """One client's decoded upload. weight: its number of training studies, or 1 where `weighting` is "uniform"."""

    client_id: str
    weight: float
    payload: Payload


def _weighted_delta(update: Update) -> tuple[State, float]:
    return update.payload["delta"], update.weight


FAMILIES = ("bounds", "optimisation", "personal parts", "LoRA", "two adapters", "report-specific", "trivial rows")
"""Sections of the list of algorithms, in its order."""

Parts = Callable[[str], bool] | Sequence[str]
"""Which parameters a fit trains: a predicate on their names, or prefixes of them."""


class Client(Protocol):
    """What a client's script may use. It never sees another client, the server's state or a test study."""

    client_id: str
    model: ReportModel
    received: Payload
    """The broadcast, as decoded on this client. Its group "shared" is already loaded into the model."""
    memory: Payload
    """The algorithm's private groups on this client. They are stored until its next round and never sent."""
    scratch: dict[str, Tensor]
    """Empty at the start of each round, dropped at its end."""
    label_prior: Tensor
    """p_d = (n_pos + 1) / (n + 2) per condition [14], on this client's own training part."""
    last_epoch: bool
    """Whether the current batch belongs to the fit's last epoch."""
    steps: int
    """Optimiser steps so far in this round, over all fits."""
    lr: float
    """This round's learning rate after the schedule; LoRA factors and the prompt table have `adapter_lr` instead."""

    def fit(
        self,
        parts: Parts | None = None,
        loss: LocalLoss | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        rate: float | None = None,
    ) -> int:
        """Train with a fresh optimiser on the round's batches, from the first one; returns the steps made.

        parts: train only these parameters, the others do not move; None = all. loss: instead of `local_loss`; the
        round's row shows its mean under the function's name. epochs, steps: how long, instead of the configuration's.
        rate: learning rates as a share of the configured ones, instead of the schedule's.
        Every step counts in the round's row. Raises FedMRGError if the loss is not finite.
        """

    def load(self, state: State) -> None:
        """Copy tensors into the live model, by parameter name; frozen ones are restored before the next client."""

    def delta(self) -> State:
        """Shared parameters now, minus the received ones."""

    def shared(self) -> State:
        """The live shared parameters (not a copy), for terms in a loss."""

    def personal(self) -> State:
        """The live personal parameters (not a copy)."""

    def state(self) -> State:
        """A copy of everything that training moves, running statistics included, for `memory` and `load`."""

    def validation_nll(self, adapters: AdapterWeights) -> float:
        """How unlikely the reports of this client's validation part are to the live model with these adapters, read as
        reports are generated: nats per token; inf without validation studies."""

    def log(self, name: str, value: Tensor) -> None:
        """Record a part of the loss (a scalar); the round's row shows its mean over steps."""


LocalLoss = Callable[[Client, Batch], Tensor]


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
    """LoRA adapters to create, if tuning is LoRA."""
    trains: ClassVar[bool] = True
    """False for a trivial row: no round is run."""
    weighting: ClassVar[Literal["size", "uniform"]] = "size"
    """What an update weighs: its client's number of training studies, or 1."""
    needs_all: ClassVar[bool] = False
    """True if `aggregate` needs all updates at once: it then gets a list, and memory grows with the cohort."""
    pools: ClassVar[bool] = False
    """True: one client has the training parts of all seen hospitals (centralised training)."""
    family: ClassVar[str] = "optimisation"
    """One of FAMILIES: its section in the list of algorithms."""
    cost: ClassVar[str] = ""
    """Work of a client's round beyond one local training, in a few words, for the list of algorithms."""

    @property
    def keeps(self) -> tuple[str, ...]:
        """Groups that `client.memory` may hold: with the personal parameters, all that a client stores."""
        return ()

    @property
    def finishes(self) -> bool:
        """True: after the last round `client_finish` is run at every seen hospital."""
        return False

    # ---- both sides, once per process

    def configure_model(self, model: ReportModel, seed: int) -> None:
        """Set what is trainable, add adapters; the base's weights are loaded already."""
        model.tune(self.tuning, self.adapters, self.diagnosis, seed)

    def is_shared(self, name: str) -> bool:
        """Whether a trainable parameter travels; if not, it is personal."""
        return True

    def shared_names(self, model: nn.Module, names: Iterable[str]) -> list[str]:
        """Those that travel, of the names of all parameters and statistics that training moves; by `is_shared`, unless
        the type of a layer decides."""
        return [name for name in names if self.is_shared(name)]

    def rank_of(self, client_id: str) -> int | None:
        """The LoRA rank that this client trains and sends; None = the tuning's. Only slices of the factors travel."""
        return None

    # ---- server

    def init_server(self, params: State, num_clients: int) -> ServerState:
        """The server before the first round; `params` are the model's shared parameters."""
        return ServerState(params)

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        """What goes down to one client. Tensors that are the same objects for all clients are sent once."""
        return {"shared": server.params}

    def upload_layout(self, server: ServerState) -> Payload:
        """Groups, names, shapes and dtypes of what `client_round` returns (values do not matter). An upload that is
        different counts as that client's failure."""
        return {"delta": server.params}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        """Fold the cohort's updates, which arrive one at a time, in an order that does not depend on placement.

        rng: seeded by (run, round), for noise and random draws; use no other. To keep one update in memory at a time,
        hold no reference to it when you ask for the next (`map` holds none, a `for` loop does).
        """
        return self.server_step(server, tree.weighted_mean(map(_weighted_delta, updates)))

    def server_step(self, server: ServerState, mean_delta: State) -> ServerState:
        """Move the shared parameters by the mean delta."""
        return server.moved(tree.add(server.params, mean_delta))

    # ---- client

    def client_round(self, client: Client) -> Payload:
        """One client's work in a round; returns the groups that it sends, at least "delta"."""
        client.fit()
        return {"delta": client.delta()}

    def client_finish(self, client: Client) -> None:
        """One client's work after the last round, from the final broadcast: nothing is sent, and `client.memory` and
        personal parameters are stored."""

    def client_adapt(self, client: Client, steps: int) -> None:
        """Few-shot adaptation of a hospital that took no part, from the final broadcast: train a fresh personal part on
        the client's studies. Nothing is sent. Default: the personal parameters, by the local loss."""
        client.fit(parts=lambda name: not self.is_shared(name), steps=steps)

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        """Next-token cross-entropy on report tokens."""
        vision = client.model.encode(batch.images)
        return client.model.decode(batch, vision.prefix, None, self.adapters).loss

    # ---- inference

    def prompt_weight(self) -> float:
        """How strongly reports follow their diagnosis prompt when they are generated: 1 = the prompt as it is, 0 = no
        prompt, any other value = contrastive decoding (`ReportModel.generate`)."""
        return 1.0

    def has_personal_view(self, client: ClientState) -> bool:
        """Whether a seen client's reports differ from the global view's; if not, they are not generated twice."""
        return bool(client.personal)

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        """Parameters that generate reports; client=None: the global view, which an unseen client gets too.

        base: the model's frozen parameters by name, for methods that change them (they are restored afterwards).
        """
        return server.params if client is None else {**server.params, **client.personal}

    def adapter_weights(self, client: ClientState | None) -> AdapterWeights:
        """Adapters that generate reports, each with its weight: 1.0 adds it as it was trained, 0.5 adds half of it.
        client=None: the global view."""
        return dict.fromkeys(self.adapters, 1.0)

    def study_weights(self, vision: VisionOutput, client: ClientState | None) -> AdapterWeights:
        """The same for each study of a batch: a weight may be a tensor [B] computed from the encoder's output."""
        return self.adapter_weights(client)

    def replies(
        self, corpus: Mapping[str, Sequence[str]], hospital: str, count: int, generator: np.random.Generator
    ) -> list[str] | None:
        """Reports of a trivial row, which reads no film, from `corpus`, the seen hospitals' training reports.
        None: the model generates them."""
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
