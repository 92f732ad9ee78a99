"""FedBN (Li et al., ICLR 2021, arXiv 2102.07623): normalisation layers stay at the hospital, with their statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fedmrg_core.algorithms.base import Algorithm, register
from fedmrg_core.errors import choose


@register("fedbn")
@dataclass(frozen=True)
class FedBN(Algorithm):
    """FedAvg of all other layers. Layers are told by their type, not by their name.

    layers: "batch" keeps batch normalisation, as the paper; in a model without any (the small encoder here has
    GroupNorm) that is FedAvg, bit by bit. "all" keeps every normalisation, of encoder and language model. Hospitals
    that never took part get the averaged layers with the base's normalisation.
    """

    layers: str = "all"

    family = "personal parts"

    def __post_init__(self) -> None:
        choose("algorithm.layers", self.layers, ("all", "batch"))

    def shared_names(self, model: nn.Module, names: Iterable[str]) -> list[str]:
        kept = {f"{path}." for path, module in model.named_modules() if self.stays(module)}
        return [name for name in super().shared_names(model, names) if name.rpartition(".")[0] + "." not in kept]

    def stays(self, module: nn.Module) -> bool:
        """Whether a layer's own parameters and statistics stay at the hospital."""
        return isinstance(module, _BatchNorm) or (self.layers == "all" and "Norm" in type(module).__name__)
