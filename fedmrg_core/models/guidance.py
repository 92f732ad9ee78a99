"""Classifier-free guidance for `generate`: reports that follow their diagnosis prompt more or less closely."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def guidance_processors(guidance: float) -> Any:
    """Logits processors for `generate` on a batch whose second half repeats the first under another prompt.

    Both halves then produce the same tokens, from the log-probabilities second + guidance x (first - second).
    """
    from transformers import LogitsProcessor, LogitsProcessorList

    class Guided(LogitsProcessor):  # type: ignore[misc, unused-ignore]
        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            first, second = scores.float().log_softmax(dim=-1).chunk(2)
            return torch.lerp(second, first, guidance).repeat(2, 1)

    return LogitsProcessorList([Guided()])
