"""FedDPA (Yang et al., NeurIPS 2024, arXiv 2403.19211): a shared and a local adapter trained one after the other; when
reports are written, each film decides how much the local one counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmrg_core.adapter_names import adapter_of
from fedmrg_core.algorithms._factors import FactorMethod
from fedmrg_core.algorithms.base import Client, ClientState, register
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch, VisionOutput
from fedmrg_core.types import Payload

SHARED, LOCAL, SAMPLES = "generic", "specialised", "samples"


def is_local(name: str) -> bool:
    """Whether a parameter belongs to the local adapter."""
    return adapter_of(name) == LOCAL


@register("feddpa")
@dataclass(frozen=True)
class FedDPA(FactorMethod):
    """FedDPA-T (Yang et al., NeurIPS 2024, arXiv 2403.19211): from its second round on a hospital first trains a local
    adapter beside the frozen shared one, each at half weight, then the shared one alone; when reports are written, each
    film decides how much the local one counts.

    The shared side is fedlora's with uniform weights, bit by bit.

    samples: films of its own that a hospital remembers (their mean patch features, made while the local adapter
    trains). similarity: lambda; the local adapter's weight for a film is lambda times the mean cosine of its feature to
    theirs, between 0 and 1, and the shared one has the rest. The default, 0.5, gives a film just like its own the
    weights of the training. The paper compares hidden states of the language model; a film has one feature before any
    word. Unseen hospitals get the shared adapter.
    """

    samples: int = 5
    similarity: float = 0.5

    family = "two adapters"
    adapters = (SHARED, LOCAL)
    weighting = "uniform"
    keeps = (SAMPLES,)
    cost = "as many steps again, of the local adapter"

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.samples", self.samples, 1)
        in_range("algorithm.similarity", self.similarity, 0, 1)

    def is_shared(self, name: str) -> bool:
        return not is_local(name)

    # ---- client

    def client_round(self, client: Client) -> Payload:
        if SAMPLES in client.memory:
            self.train_local(client)
        else:
            client.memory[SAMPLES] = {"count": torch.zeros(())}
        client.fit(parts=lambda name: not is_local(name))
        return {"delta": client.delta()}

    def client_adapt(self, client: Client, steps: int) -> None:
        self.train_local(client, steps=steps)

    def train_local(self, client: Client, epochs: int | None = None, steps: int | None = None) -> None:
        """Train the local adapter, and remember its first films."""
        client.fit(parts=is_local, loss=self.local_adapter_loss, epochs=epochs, steps=steps)
        features = client.scratch.get("features")
        if features is not None:
            client.memory[SAMPLES] = {"count": torch.tensor(float(len(features))), "features": features}

    def local_adapter_loss(self, client: Client, batch: Batch) -> Tensor:
        """The loss of both adapters at half weight; the shared one is a constant."""
        vision = client.model.encode(batch.images)
        kept = client.scratch.get("features", vision.mean[:0].detach().float())
        client.scratch["features"] = torch.cat([kept, vision.mean.detach().float()])[: self.samples]
        half = {SHARED: 0.5, LOCAL: 0.5}
        return client.model.decode(batch, vision.prefix, None, half, constant=(SHARED,)).loss

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        vision = client.model.encode(batch.images)
        return client.model.decode(batch, vision.prefix, None, (SHARED,)).loss

    # ---- inference

    def has_personal_view(self, client: ClientState) -> bool:
        return "features" in client.memory.get(SAMPLES, {})

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        own = client is not None and self.has_personal_view(client)
        return {SHARED: 1 - self.similarity, LOCAL: self.similarity} if own else {SHARED: 1.0}

    def study_weights(self, vision: VisionOutput, client: ClientState | None) -> Mapping[str, float | Tensor]:
        if client is None or not self.has_personal_view(client):
            return self.adapter_weights(client)
        features = F.normalize(client.memory[SAMPLES]["features"].to(vision.mean.device), dim=1)
        alike = (F.normalize(vision.mean.float(), dim=1) @ features.T).mean(dim=1)
        local = (self.similarity * alike).clamp(0, 1)
        return {SHARED: 1 - local, LOCAL: local}


@register("feddpa-f")
@dataclass(frozen=True)
class FedDPAF(FedDPA):
    """FedDPA-F (Yang et al., NeurIPS 2024, arXiv 2403.19211): the shared adapter is federated first; after the last
    round each hospital trains its local one beside it.

    epochs: of the local adapter, at the learning rate with which the rounds ended.
    """

    epochs: int = 3

    finishes = True
    cost = "once, `epochs` epochs of the local adapter"

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.epochs", self.epochs, 1)

    def client_round(self, client: Client) -> Payload:
        client.fit(parts=lambda name: not is_local(name))
        return {"delta": client.delta()}

    def client_finish(self, client: Client) -> None:
        self.train_local(client, self.epochs)
