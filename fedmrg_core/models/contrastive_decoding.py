"""Contrastive decoding: each token's log-probability is blank + weight x (prompted - blank), where `blank` reads a
prompt that names no finding. Training never shows a blank prompt, so this is no classifier-free guidance (Ho and
Salimans 2022), which has the same formula and trains with dropped prompts; as decoding: Sanchez et al., ICML 2024."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def contrasted(prompted: Tensor, blank: Tensor, weight: float) -> Tensor:
    """Log-probabilities [.., V], not normalised, from two sets of logits [.., V]."""
    first, second = prompted.float().log_softmax(dim=-1), blank.float().log_softmax(dim=-1)
    return torch.lerp(second, first, weight)


def contrastive_processors(weight: float) -> Any:
    """Logits processors for `generate` on a batch whose second half repeats the first under the blank prompt; both
    halves then produce the same tokens."""
    from transformers import LogitsProcessor, LogitsProcessorList

    class Contrasted(LogitsProcessor):  # type: ignore[misc, unused-ignore]
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            prompted, blank = scores.chunk(2)
            return contrasted(prompted, blank, weight).repeat(2, 1)

    return LogitsProcessorList([Contrasted()])
