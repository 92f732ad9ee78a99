"""FedSA-LoRA (Guo et al., ICLR 2025, arXiv 2410.01463): the factors A are averaged, the factors B stay at the
hospital."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms._factors import B, FactorMethod
from fedmrg_core.algorithms.base import register


@register("fedsa-lora")
@dataclass(frozen=True)
class FedSALoRA(FactorMethod):
    """Both factors are trained. The personal view is the hospital's B with the mean A.

    Hospitals that never took part have no B. They get what the paper's server holds: the shared encoder and connector
    beside the base's language model (B = 0).
    """

    def is_shared(self, name: str) -> bool:
        return B not in name
