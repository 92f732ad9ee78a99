"""Bounds: what there is without a federation, without hospital borders, and without an adapted language model."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms.base import register
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.errors import ConfigError


@register("local-only")
@dataclass(frozen=True)
class LocalOnly(FedLoRADx):
    """Every hospital trains fedlora-dx on its own studies, and nothing travels: what federation is worth is what the
    other rows add to this one.

    Hospitals that never took part get the base, as `untrained`.
    """

    family = "bounds"

    def is_shared(self, name: str) -> bool:
        return False


@register("centralised")
@dataclass(frozen=True)
class Centralised(FedLoRADx):
    """fedlora-dx on the pooled studies of all seen hospitals: an upper bound that no federation may have.

    A round is `train.local_epochs` of the pool, with a fresh optimiser as at any client, so that a run trains on as
    many studies as a federated one. Its bytes are those of the model; a real pool moves films and reports instead.
    """

    family = "bounds"
    pools = True
    cost = "all films and reports in one place"


@register("frozen-lm")
@dataclass(frozen=True)
class FrozenLM(FedLoRADx):
    """fedlora-dx without LoRA: the language model stays as the base has it, and encoder, connector, diagnosis head and
    prompts are all that is trained and sent.
    """

    family = "bounds"
    adapters = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tuning.kind == "full":
            raise ConfigError("tuning.kind = full trains the language model, which frozen-lm leaves alone: use lora.")
