"""A pretrained language model whose frozen weights are rounded to 8 or 4 bits by bitsandbytes (Dettmers et al., arXiv
2208.07339; NF4: arXiv 2305.14314). Embeddings and output layer keep their precision."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

from torch import nn

from fedmrg_core.errors import ConfigError
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import get_language_model

WHOLE = 32
"""Bits of a weight that is not rounded."""
PACKAGE = "bitsandbytes"
KINDS = ("frozen", "lora", "prefix")
"""Kinds of tuning beside rounded weights."""


def check_bits(config: ModelConfig) -> None:
    """Raise ConfigError where a language model's weights cannot be rounded as `lm_bits` asks, before it is loaded."""
    if config.lm_bits == WHOLE:
        return
    asked = f"model.lm_bits = {config.lm_bits}"
    if get_language_model(config.lm).trained_here:
        raise ConfigError(f"{asked} rounds a checkpoint's weights, and lm={config.lm} has none: set lm_bits = {WHOLE}.")
    if importlib.util.find_spec(PACKAGE) is None:
        raise ConfigError(f"{asked} needs {PACKAGE}: pip install 'fedmrg[bits]', or set lm_bits = {WHOLE}.")


def check_tuning(config: ModelConfig, kind: str) -> None:
    """Raise ConfigError for a kind of tuning that needs the weights that are rounded."""
    if config.lm_bits != WHOLE and kind not in KINDS:
        allowed = ", ".join(KINDS)
        raise ConfigError(f"tuning.kind = {kind} does not work with model.lm_bits = {config.lm_bits}: take {allowed}.")


def loading_options(bits: int) -> dict[str, Any]:
    """For `from_pretrained`: nothing for whole weights."""
    if bits == WHOLE:
        return {}
    from transformers import BitsAndBytesConfig

    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    if bits == 8:
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), "device_map": {"": "cpu"}}
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    return {"quantization_config": four, "device_map": {"": "cpu"}}


def saved_bytes(lm: nn.Module, bits: int) -> float:
    """Bytes by which rounding makes a language model smaller, adapters or not: its frozen linear layers, but the output
    layer. lm: with whole weights."""
    output = getattr(lm, "lm_head", None)
    layers = [one for name, one in lm.named_modules() if isinstance(one, nn.Linear) and ".lora_" not in name]
    size = sum(one.weight.numel() for one in layers if one is not output and not one.weight.requires_grad)
    return size * (WHOLE - bits) / 8
