"""What is read off a language model before it is used: how it scales words, and how many positions it has."""

from __future__ import annotations

from typing import Any

import torch

from fedmrg_core.errors import ConfigError
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import Encoder


def word_spread(words: Any) -> float:
    """The standard deviation of a language model's words as it reads them; 1 if it has no values (meta device)."""
    return 1.0 if words.weight.is_meta else float(words.weight.detach().std()) * embedding_scale(words)


def embedding_scale(words: Any) -> float:
    """By how much a language model multiplies its word embeddings when it looks them up (Gemma, BioGPT); mostly 1."""
    some = torch.arange(min(64, len(words.weight)), device=words.weight.device)
    with torch.no_grad():
        return float(words(some).std() / words.weight[some].std())


def check_positions(config: ModelConfig, lm: Any, encoder: Encoder, fixed: int, longest: int) -> None:
    """Raises ConfigError where the longest input has more tokens than the language model has positions. fixed: number
    of tokens that are neither patches nor the report's. longest: most tokens of a report."""
    positions = getattr(lm.config.get_text_config(), "max_position_embeddings", None)
    if positions is None:
        return
    with torch.no_grad():
        encoder.eval()
        film = torch.zeros(1, config.image_size, config.image_size, dtype=torch.uint8)
        patches = encoder(film).shape[1] * config.views
        encoder.train()
    needed = patches + fixed + longest
    if needed > positions:
        raise ConfigError(
            f"lm={config.lm} has {positions} positions, but {patches} patches, {fixed} tokens of prompts and"
            f" instruction and a report of {longest} tokens are {needed}: lower model.max_tokens,"
            " generation.max_new_tokens, model.image_size, model.views or (of an encoder's checkpoint)"
            " model.max_patches"
        )
