"""The language model W0 and its tokenizer: a tiny LLaMA built from the config, or any Hugging Face causal LM."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import load_pretrained

PAD, END = "<pad>", "<end>"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer, trained on public text only: nothing is out of its vocabulary, and no client's
    text shapes it. Returns a `tokenizers.Tokenizer`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def guidance_processors(guidance: float) -> Any:
    """For `generate` on a batch whose second half is its first one under another prompt: both halves then write the
    same words, by log-probabilities second + guidance x (first - second)."""
    from transformers import LogitsProcessor, LogitsProcessorList

    class Guided(LogitsProcessor):  # type: ignore[misc, unused-ignore]
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            first, second = scores.float().log_softmax(dim=-1).chunk(2)
            return torch.lerp(second, first, guidance).repeat(2, 1)

    return LogitsProcessorList([Guided()])


class Text:
    """Encode and decode reports, whatever tokenizer the language model came with."""

    def __init__(self, tokenizer: Any, pad: int, end: int, max_tokens: int) -> None:
        self._tokenizer, self.pad, self.end, self.max_tokens = tokenizer, pad, end, max_tokens

    @classmethod
    def load(cls, config: ModelConfig, base: Path) -> Text:
        """From `base/tokenizer.json` for the tiny model, else from the language model's own checkpoint."""
        if config.lm == "tiny":
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
            pad, end = (int(tokenizer.token_to_id(token) or 0) for token in (PAD, END))
            return cls(tokenizer, pad, end, config.max_tokens)
        from transformers import AutoTokenizer

        wrapped = load_pretrained("lm", config.lm, AutoTokenizer.from_pretrained)
        end = wrapped.eos_token_id
        pad = wrapped.pad_token_id if wrapped.pad_token_id is not None else end
        return cls(wrapped.backend_tokenizer, pad, end, config.max_tokens)

    @property
    def vocab_size(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without end token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def batch(self, reports: list[str]) -> tuple[Tensor, Tensor]:
        """Reports -> (tokens [B, L] int64 with the end token, mask [B, L] bool). Cut at `max_tokens`."""
        rows = [[*self.ids(report)[: self.max_tokens - 1], self.end] for report in reports]
        length = max(len(row) for row in rows)
        tokens = torch.full((len(rows), length), self.pad, dtype=torch.int64)
        mask = torch.zeros((len(rows), length), dtype=torch.bool)
        for i, row in enumerate(rows):
            tokens[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = True
        return tokens, mask

    def decode(self, tokens: list[int]) -> str:
        """Token ids up to the first end token -> text with collapsed white space."""
        if self.end in tokens:
            tokens = tokens[: tokens.index(self.end)]
        return " ".join(self._tokenizer.decode(tokens, skip_special_tokens=True).split())


def build_language_model(config: ModelConfig, text: Text) -> Any:
    """The causal LM; the tiny one with fresh weights (a base or a seed fills them), others from their checkpoint."""
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    if config.lm != "tiny":
        options = {"use_safetensors": True, "dtype": torch.float32}
        return load_pretrained("lm", config.lm, AutoModelForCausalLM.from_pretrained, **options)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=text.vocab_size,
            hidden_size=config.lm_hidden,
            intermediate_size=config.lm_intermediate,
            num_hidden_layers=config.lm_layers,
            num_attention_heads=config.lm_heads,
            num_key_value_heads=config.lm_heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=text.pad,
            bos_token_id=None,
            eos_token_id=text.end,
        )
    )
