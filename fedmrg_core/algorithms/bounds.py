"""Bounds: what there is without a federation, without hospital borders, and without an adapted language model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedmrg_core.algorithms.base import Client, register
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.report_model import Batch


@dataclass(frozen=True)
class Bound(FedLoRADx):
    """fedlora-dx, or with `diagnosis` = false fedlora: without head and prompts."""

    diagnosis: bool = True  # type: ignore[misc]  # of the class elsewhere

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        return super().local_loss(client, batch) if self.diagnosis else FedLoRA.local_loss(self, client, batch)


@register("local-only")
@dataclass(frozen=True)
class LocalOnly(Bound):
    """Every hospital trains fedlora-dx on its own studies, and nothing travels: what federation is worth is what the
    other rows add to this one.

    Hospitals that never took part get the base, as `untrained`. diagnosis: false trains fedlora instead.
    """

    family = "bounds"

    def is_shared(self, name: str) -> bool:
        return False


@register("centralised")
@dataclass(frozen=True)
class Centralised(Bound):
    """fedlora-dx on the pooled studies of all seen hospitals: an upper bound that no federation may have.

    A round is `train.local_epochs` of the pool, with a fresh optimiser as at any client, so that a run trains on as
    many studies as a federated one. Its bytes are those of the model; a real pool moves films and reports instead.
    diagnosis: false trains fedlora instead.
    """

    family = "bounds"
    pools = True
    cost = "all films and reports in one place"


@register("frozen-lm")
@dataclass(frozen=True)
class FrozenLM(Bound):
    """fedlora-dx without LoRA: the language model stays as the base has it, and encoder, connector, diagnosis head and
    prompts are all that is trained and sent.

    diagnosis: false leaves out the last two.
    """

    family = "bounds"
    adapters = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tuning.kind == "full":
            raise ConfigError("tuning.kind = full trains the language model, which frozen-lm leaves alone: use lora.")
