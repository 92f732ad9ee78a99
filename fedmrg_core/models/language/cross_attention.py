"""`lm = "cross-attention"`: the decoder of an encoder-decoder, trained from scratch on the public corpus.

It sees films by cross-attention in every layer, as R2Gen (Chen et al., EMNLP 2020) and PromptMRG (Jin et al., AAAI
2024) do, not as tokens before the report. Diagnosis prompts and instruction are its first tokens. A GPT-2 of the
`lm_*` sizes.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import language_model
from fedmrg_core.models.tokenizer import ReportTokenizer


@language_model("cross-attention")
def build(config: ModelConfig, tokenizer: ReportTokenizer) -> Any:
    """The decoder with fresh weights, drawn from torch's generator. `memory` of its `forward` and `generate` says how
    many positions of `inputs_embeds` [B, n, H] are the film; 0 = none, and the decoder writes without one."""
    from transformers import GPT2Config, GPT2LMHeadModel

    class CrossAttentionDecoder(GPT2LMHeadModel):  # type: ignore[misc]
        cross_attends = True

        @wraps(GPT2LMHeadModel.forward)  # `generate` looks at its parameters
        def forward(self, *given: Any, inputs_embeds: Any = None, memory: int = 0, **options: Any) -> Any:
            if memory:
                options["encoder_hidden_states"] = inputs_embeds[:, :memory].contiguous()
                inputs_embeds = inputs_embeds[:, memory:]
            return super().forward(*given, inputs_embeds=inputs_embeds, **options)

        def generate(self, *given: Any, memory: int = 0, **options: Any) -> Any:
            inputs, mask = options.pop("inputs_embeds"), options.pop("attention_mask")
            if memory:
                options["encoder_hidden_states"] = inputs[:, :memory].contiguous()
            return super().generate(
                *given, inputs_embeds=inputs[:, memory:], attention_mask=mask[:, memory:], **options
            )

    return CrossAttentionDecoder(
        GPT2Config(
            vocab_size=tokenizer.vocab_size,
            n_embd=config.lm_hidden,
            n_inner=config.lm_intermediate,
            n_layer=config.lm_layers,
            n_head=config.lm_heads,
            n_positions=512,
            add_cross_attention=True,
            pad_token_id=tokenizer.pad,
            bos_token_id=None,
            eos_token_id=tokenizer.end,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            resid_pdrop=0.0,
        )
    )
