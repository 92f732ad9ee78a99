"""FLoRA (Wang et al., NeurIPS 2024, arXiv 2409.05976): the hospitals' factors are stacked, their product joins the
frozen matrices, and every round begins with new factors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedmrg_core.algorithms._changed_base import ChangedBase, Pair
from fedmrg_core.algorithms._factors import A, B
from fedmrg_core.algorithms._ranks import check_ranks, rank_in_turn
from fedmrg_core.algorithms.base import register
from fedmrg_core.types import State


@register("flora")
@dataclass(frozen=True)
class FLoRA(ChangedBase):
    """s [p_1 B_1 .. p_K B_K] [A_1; ..; A_K] = s mean(B A), whatever the hospitals' ranks.

    ranks: of the hospitals in turn (h01, h02, ..), at most `tuning.rank`; none = that rank for all. All train with the
    same s = alpha / rank, or the stack would mix scales. Encoder and connector are averaged. The new A, drawn by the
    server, and B = 0 travel with the other parameters. All views have the changed matrices.
    """

    ranks: tuple[int, ...] = ()

    cost = "downloads from round 2 on: all hospitals' factors, or the matrix if that is smaller"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranks(self.ranks)

    def rank_of(self, client_id: str) -> int | None:
        return rank_in_turn(self.ranks, client_id)

    def change(self, pairs: list[Pair], mean_b: Tensor, mean_a: Tensor) -> tuple[Tensor, Tensor]:
        left = torch.cat([self.scale * share * b for share, b, _ in pairs], dim=1)
        return left, torch.cat([a for _, _, a in pairs])

    def restart(self, params: State, rng: np.random.Generator) -> State:
        """A new A as LoRA draws it, uniform within 1 / sqrt(in), and B = 0."""
        fresh: State = {}
        for name in (name for name in params if A in name):
            bound = 1.0 / math.sqrt(params[name].shape[1])
            draw = rng.uniform(-bound, bound, size=tuple(params[name].shape))
            fresh[name] = torch.from_numpy(draw).to(params[name].dtype)
            fresh[name.replace(A, B)] = torch.zeros_like(params[name.replace(A, B)])
        return {**params, **fresh}
