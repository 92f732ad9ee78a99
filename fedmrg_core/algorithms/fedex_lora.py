"""FedEx-LoRA (Singhal et al., ACL 2025, arXiv 2410.09432): factors are averaged, and what their mean misses of the mean
product joins the frozen matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedmrg_core.algorithms._changed_base import ChangedBase, Pair
from fedmrg_core.algorithms.base import register


@register("fedex-lora")
@dataclass(frozen=True)
class FedExLoRA(ChangedBase):
    """After a round W0 + C + s mean(B) mean(A) is W0 + s mean(B A), with all three means by size.

    The residue s (mean(B A) - mean(B) mean(A)) of K hospitals has rank (K - 1) r. All views, of unseen
    hospitals too, have the changed matrices.
    """

    cost = "downloads from round 2 on: a residue of rank (K - 1) r per matrix, or the matrix if that is smaller"

    def change(self, pairs: list[Pair], mean_b: Tensor, mean_a: Tensor) -> tuple[Tensor, Tensor]:
        """sum over all but the last hospital of s (B_k - mean B) p_k (A_k - A_last): p_k (B_k - mean B) add up to 0."""
        exact_b = sum((share * b for share, b, _ in pairs), torch.zeros_like(mean_b))
        *others, (_, _, last_a) = pairs
        left = [self.scale * (b - exact_b) for _, b, _ in others]
        right = [share * (a - last_a) for share, _, a in others]
        return _stacked(left, right, mean_b, mean_a)


def _stacked(left: list[Tensor], right: list[Tensor], mean_b: Tensor, mean_a: Tensor) -> tuple[Tensor, Tensor]:
    """[L1 .. Ln] and [R1; ..; Rn]; of rank 0 if there is none."""
    return torch.cat([mean_b[:, :0], *left], dim=1), torch.cat([mean_a[:0], *right])
