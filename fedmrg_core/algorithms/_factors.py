"""For methods that change what becomes of LoRA's factors."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.lora_ranks import A as A
from fedmrg_core.models.lora_ranks import B as B
from fedmrg_core.models.tuning import LORA, Tuning


@dataclass(frozen=True)
class FactorMethod(Algorithm):
    """Training is FedLoRA's: frozen language model, factors B and A, encoder, connector."""

    tuning: Tuning = LORA

    family = "LoRA"

    def __post_init__(self) -> None:
        if not self.tuning.lora:
            raise ConfigError(f"tuning.kind = {self.tuning.kind} has no factors B and A, which this method changes.")

    @property
    def scale(self) -> float:
        """s in W0 + s B A."""
        return self.tuning.alpha / self.tuning.rank
