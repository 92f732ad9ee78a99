"""FFA-LoRA (Sun et al., ICLR 2024, arXiv 2403.12313): the factors A are frozen at their first values; only B is trained
and sent."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms._factors import A, FactorMethod
from fedmrg_core.algorithms.base import register
from fedmrg_core.models.report_model import ReportModel


@register("ffa-lora")
@dataclass(frozen=True)
class FFALoRA(FactorMethod):
    """Since all hospitals have the same A, mean(B) A is the mean of their products B A: averaging makes no error.

    Every process draws the same A from the seed, so A is not sent. The paper tunes larger learning rates than for LoRA:
    see `train.adapter_lr`.
    """

    def configure_model(self, model: ReportModel, seed: int) -> None:
        super().configure_model(model, seed)
        for name, parameter in model.named_parameters():
            if A in name:
                parameter.requires_grad_(False)
