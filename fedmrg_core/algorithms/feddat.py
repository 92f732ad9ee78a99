"""FedDAT (Chen et al., AAAI 2024, arXiv 2308.12305): a shared and a local adapter teach each other, the local one
together with a frozen copy of the shared one as it arrived."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedmrg_core.adapter_names import adapter_of
from fedmrg_core.algorithms._factors import FactorMethod
from fedmrg_core.algorithms.base import Client, ClientState, register
from fedmrg_core.algorithms.fedmrg import BoostedPath, boosting_loss
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.types import Payload

SHARED, LOCAL, ARRIVED = "generic", "specialised", "arrived"


@register("feddat")
@dataclass(frozen=True)
class FedDAT(FactorMethod):
    """The teacher is half the local adapter and half the arrived one. Per batch: the shared adapter minimises (task +
    kd T^2 KL(teacher || shared)) / 2, the local one, in the teacher, (task + kd T^2 KL(shared || teacher)) / 2; each KL
    has its target as a constant, and is a mean over report tokens.

    kd: weight of both KL. temperature: T; the authors' code takes 3. The paper's adapters are bottlenecks, ours LoRA;
    it steps the two one after the other, here both take their step of a batch at once. Encoder and connector train with
    the shared adapter. Only that travels. The personal view is the teacher, with the newest shared adapter; unseen
    hospitals get the shared adapter alone.
    """

    kd: float = 1.0
    temperature: float = 3.0

    family = "two adapters"
    adapters = (SHARED, LOCAL, ARRIVED)
    cost = "a second pass of the decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.kd", self.kd, 0)
        in_range("algorithm.temperature", self.temperature, 0, above=True)

    def configure_model(self, model: ReportModel, seed: int) -> None:
        super().configure_model(model, seed)
        for name, parameter in model.named_parameters():
            if adapter_of(name) == ARRIVED:
                parameter.requires_grad_(False)

    def is_shared(self, name: str) -> bool:
        return adapter_of(name) != LOCAL

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        return {SHARED: 1.0} if client is None else {LOCAL: 0.5, SHARED: 0.5}

    def client_round(self, client: Client) -> Payload:
        _copy_arrived(client)
        return super().client_round(client)

    def client_adapt(self, client: Client, steps: int) -> None:
        _copy_arrived(client)
        super().client_adapt(client, steps)

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        model = client.model
        vision = model.encode(batch.images)
        shared = model.decode(batch, vision.prefix, None, (SHARED,))
        teacher = model.decode(batch, vision.prefix.detach(), None, {LOCAL: 0.5, ARRIVED: 0.5})
        client.log("local", teacher.loss)
        loss = (shared.loss + teacher.loss) / 2
        if self.kd == 0:
            return loss
        one, two = (BoostedPath.of(output, batch, self.temperature) for output in (shared, teacher))
        taught = boosting_loss(two, one, self.temperature) + boosting_loss(one, two, self.temperature)
        client.log("kd", taught)
        return loss + self.kd * taught / 2


def _copy_arrived(client: Client) -> None:
    received = client.received["shared"].items()
    client.load({n.replace(f".{SHARED}.", f".{ARRIVED}."): t for n, t in received if adapter_of(n) == SHARED})
