"""`lm = ID or FOLDER`: any Hugging Face causal language model, from safetensors, with its own fast tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import load_pretrained, refusal
from fedmrg_core.models.registry import CHECKPOINT, language_model
from fedmrg_core.models.tokenizer import ReportTokenizer


def own_tokenizer(config: ModelConfig, base: Path) -> ReportTokenizer:
    """The checkpoint's tokenizer. Its end token serves as padding if it has no padding token.

    Raises ConfigError if it has no fast tokenizer, no end token, or cannot encode English.
    """
    from transformers import AutoTokenizer

    wrapped = load_pretrained("lm", config.lm, AutoTokenizer.from_pretrained)
    fast, end = getattr(wrapped, "backend_tokenizer", None), wrapped.eos_token_id
    if fast is None:
        raise refusal("lm", config.lm, "it has no fast tokenizer (tokenizer.json)")
    if end is None:
        raise refusal("lm", config.lm, "its tokenizer has no end token (eos_token in tokenizer_config.json)")
    pad = wrapped.pad_token_id if wrapped.pad_token_id is not None else end
    tokenizer = ReportTokenizer(fast, pad, end, config.max_tokens)
    if "heart" not in tokenizer.decode(tokenizer.encode("the heart is normal")).lower():
        raise refusal("lm", config.lm, "its tokenizer is empty or cannot encode English (is tokenizer.json missing?)")
    return tokenizer


@language_model(CHECKPOINT, trained_here=False, tokenizer=own_tokenizer)
def build(config: ModelConfig, tokenizer: ReportTokenizer) -> Any:
    """The checkpoint's model in float32. Raises ConfigError if its tokenizer has more tokens than it has embeddings."""
    from transformers import AutoModelForCausalLM

    options = {"use_safetensors": True, "dtype": torch.float32}
    model = load_pretrained("lm", config.lm, AutoModelForCausalLM.from_pretrained, **options)
    rows = int(model.get_input_embeddings().weight.shape[0])
    if tokenizer.vocab_size > rows:
        raise refusal("lm", config.lm, f"its tokenizer has {tokenizer.vocab_size} tokens, its model {rows} embeddings")
    return model
