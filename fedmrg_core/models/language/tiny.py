"""`lm = "tiny"`: a LLaMA decoder of the config's `lm_*` sizes, trained from scratch on the public corpus."""

from __future__ import annotations

from typing import Any

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import language_model
from fedmrg_core.models.tokenizer import ReportTokenizer


@language_model("tiny")
def build(config: ModelConfig, tokenizer: ReportTokenizer) -> Any:
    """The decoder with fresh weights, drawn from torch's generator."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=config.lm_hidden,
            intermediate_size=config.lm_intermediate,
            num_hidden_layers=config.lm_layers,
            num_attention_heads=config.lm_heads,
            num_key_value_heads=config.lm_heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad,
            bos_token_id=None,
            eos_token_id=tokenizer.end,
        )
    )
