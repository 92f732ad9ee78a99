"""Contrastive decoding: each token's log-probability is blank + weight x (prompted - blank), where `blank` reads a
prompt that names no finding. Training never shows a blank prompt, so this is no classifier-free guidance (Ho and
Salimans 2022), which has the same formula and trains with dropped prompts; as decoding: Sanchez et al., ICML 2024."""

from __future__ import annotations

import torch
from torch import Tensor


def contrasted(prompted: Tensor, blank: Tensor, weight: float) -> Tensor:
    """Log-probabilities [.., V], not normalised, from two sets of logits [.., V]."""
    first, second = prompted.float().log_softmax(dim=-1), blank.float().log_softmax(dim=-1)
    return torch.lerp(second, first, weight)
