"""Prefix tuning (Li and Liang, ACL 2021): trained keys and values that the attention of every layer sees first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmrg_core.errors import ConfigError, first_line
from fedmrg_core.seeding import derive_seed

NAME = "fedmrg_prefix"
"""The attention that reads prefixes, as transformers knows it."""


class PrefixLayer(nn.Module):
    """The prefixes of one layer: by adapter, keys and values [2, heads, tokens, d]."""

    def __init__(self) -> None:
        super().__init__()
        self.base_layer = None
        self.prefix_tokens = nn.ParameterDict()
        self.active: list[str] = []

    def set_adapter(self, names: Sequence[str]) -> None:
        """Read these prefixes, one after another."""
        self.active = [name for name in names if name in self.prefix_tokens]

    def before(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, L, d] with those of the active prefixes before them."""
        for name in reversed(self.active):
            first = self.prefix_tokens[name].to(key).expand(len(key), -1, -1, -1, -1).unbind(1)
            key, value = (torch.cat(pair, dim=2) for pair in zip(first, (key, value), strict=True))
        return key, value


def add_prefixes(lm: Any, names: Sequence[str], tokens: int, seed: int) -> None:
    """Give every layer of attention a prefix per name, in place. They begin as what the layer computes for `tokens`
    words that are drawn from (seed, name). Raises ConfigError for a model whose attention cannot be exchanged."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    lm.set_attn_implementation(NAME)
    for name in names:
        found = _computed(lm, tokens, derive_seed(seed, "init", f"prefix.{name}"))
        if not found:
            raise ConfigError("tuning.kind = prefix is not for this language model: its attention reads none.")
        for module, start in found:
            if not hasattr(module, "prefix_layer"):
                module.prefix_layer = PrefixLayer()
            module.prefix_layer.prefix_tokens[name] = nn.Parameter(start)


def _computed(lm: Any, tokens: int, seed: int) -> list[tuple[Any, Tensor]]:
    """Every layer's attention, and the keys and values that it computes for so many drawn words."""
    words, found = lm.get_input_embeddings(), []
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, len(words.weight), (1, tokens), generator=draw, device="cpu").to(words.weight.device)
    positions = torch.arange(tokens, device=ids.device)[None]
    mask = torch.full((1, 1, tokens, tokens), torch.finfo(words.weight.dtype).min, device=ids.device).triu(1)
    _watch.append(lambda module, key, value: found.append((module, torch.stack([key[0], value[0]]).clone())))
    try:
        with torch.no_grad():
            lm(inputs_embeds=words(ids), attention_mask=mask, position_ids=positions, use_cache=False)
    except ValueError as error:  # as of attention with a cap on its logits (Gemma2)
        raise ConfigError(f"tuning.kind = prefix is not for this language model: {first_line(error)}") from error
    finally:
        _watch.pop()
    return found


_watch: list[Any] = []
"""Who is told the keys and values of a forward pass; nobody but `_computed`."""


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """torch's attention, with the module's active prefixes before keys and values."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    for tell in _watch:
        tell(module, key, value)
    layer = getattr(module, "prefix_layer", None)
    if layer is not None and layer.active:
        own, (key, value) = key.shape[2], layer.before(key, value)
        if attention_mask is None and query.shape[2] > 1:
            attention_mask = torch.ones(query.shape[2], own, dtype=torch.bool, device=key.device)
            attention_mask = attention_mask.tril(own - query.shape[2])[None, None]
        if attention_mask is not None:
            seen = True if attention_mask.dtype == torch.bool else 0.0
            attention_mask = F.pad(attention_mask[..., :own], (key.shape[2] - own, 0), value=seen)
    result: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return result
