"""FlexLoRA (Bai et al., NeurIPS 2024, arXiv 2402.11505): hospitals train at ranks of their own; the server averages
their products and sends each the best approximation at its rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from fedmrg_core.algorithms._factors import FactorMethod
from fedmrg_core.algorithms._ranks import check_ranks, rank_in_turn
from fedmrg_core.algorithms.base import ServerState, Update, register
from fedmrg_core.algorithms.fedlora import mean_product_factors


@register("flexlora")
@dataclass(frozen=True)
class FlexLoRA(FactorMethod):
    """mean(B A) = U S V^T, and B = U S^1/2, A = S^1/2 V^T: the first r_k columns and rows are the best rank r_k.

    ranks: of the hospitals in turn (h01, h02, ..), at most `tuning.rank`; none = that rank for all, which is fedlora
    with `aggregation = "svd"`, bit by bit. All train with the same s = alpha / rank. Unseen hospitals get the full
    rank.
    """

    ranks: tuple[int, ...] = (8, 4, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranks(self.ranks)

    def rank_of(self, client_id: str) -> int | None:
        return rank_in_turn(self.ranks, client_id)

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        products, updates = self.products(server, updates)
        moved = super().aggregate(server, updates, rng)
        factors, lost = mean_product_factors(products, self.tuning.rank)
        return replace(moved.moved({**moved.params, **factors}), diagnostics={"svd_truncation_error": lost})
