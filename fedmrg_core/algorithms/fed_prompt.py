"""Federated prompt tuning (Lester et al., EMNLP 2021, arXiv 2104.08691): the language model is frozen, and trainable
tokens in its input travel in place of factors."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms.base import Algorithm, register
from fedmrg_core.errors import ConfigError, in_range
from fedmrg_core.models.report_model import ReportModel
from fedmrg_core.models.soft_tokens import add_soft_tokens
from fedmrg_core.models.tuning import FROZEN, Tuning


@register("fed-prompt")
@dataclass(frozen=True)
class FedPrompt(Algorithm):
    """FedAvg over encoder, connector and tokens.

    tokens: how many, between film and instruction; 0 leaves encoder and connector. The paper takes 5 to 100.
    """

    tuning: Tuning = FROZEN
    tokens: int = 16

    family = "LoRA"
    adapters = ()

    def __post_init__(self) -> None:
        in_range("algorithm.tokens", self.tokens, 0)
        if self.tuning.kind != "frozen":
            raise ConfigError("fed-prompt trains tokens in place of the language model: tuning.kind is frozen.")

    def configure_model(self, model: ReportModel, seed: int) -> None:
        super().configure_model(model, seed)
        if self.tokens:
            add_soft_tokens(model, self.tokens, seed)
