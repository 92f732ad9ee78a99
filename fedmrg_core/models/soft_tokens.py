"""Trainable tokens in the language model's input, after those of the film."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fedmrg_core.seeding import derive_seed


class SoftTokens(nn.Module):
    """weight: [tokens, H]."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, width))

    def after(self, connector: nn.Module, inputs: tuple[Tensor, ...], prefix: Tensor) -> Tensor:
        """The connector's output [B, P, H] with the tokens behind it."""
        return torch.cat([prefix, self.weight.to(prefix).expand(len(prefix), -1, -1)], dim=1)


def add_soft_tokens(model: Any, count: int, seed: int) -> None:
    """Give a report model `count` tokens, `soft_tokens.weight`, drawn from the seed with the spread of its words.

    They are part of the prefix wherever films are encoded, in training as in generation. Called after `tune`.
    """
    words: Tensor = model.lm.get_input_embeddings().weight.detach()
    tokens = SoftTokens(count, model.connector.out_features)
    draw = torch.Generator().manual_seed(derive_seed(seed, "init", "soft_tokens"))
    with torch.no_grad():
        tokens.weight.copy_(torch.randn(tokens.weight.shape, generator=draw) * float(words.std()))
    model.soft_tokens = tokens
    model.connector.register_forward_hook(tokens.after)
