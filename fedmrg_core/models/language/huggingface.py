"""`lm = ID or FOLDER`: any Hugging Face causal language model, from safetensors, with its own fast tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import load_pretrained
from fedmrg_core.models.registry import CHECKPOINT, language_model
from fedmrg_core.models.tokenizer import ReportTokenizer


def own_tokenizer(config: ModelConfig, base: Path) -> ReportTokenizer:
    """The checkpoint's tokenizer. Its end token serves as padding if it has no padding token."""
    from transformers import AutoTokenizer

    wrapped = load_pretrained("lm", config.lm, AutoTokenizer.from_pretrained)
    end = wrapped.eos_token_id
    pad = wrapped.pad_token_id if wrapped.pad_token_id is not None else end
    return ReportTokenizer(wrapped.backend_tokenizer, pad, end, config.max_tokens)


@language_model(CHECKPOINT, trained_here=False, tokenizer=own_tokenizer)
def build(config: ModelConfig, tokenizer: ReportTokenizer) -> Any:
    """The checkpoint's model in float32."""
    from transformers import AutoModelForCausalLM

    options = {"use_safetensors": True, "dtype": torch.float32}
    return load_pretrained("lm", config.lm, AutoModelForCausalLM.from_pretrained, **options)
