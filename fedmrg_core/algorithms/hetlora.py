"""HetLoRA (Cho et al., EMNLP 2024, arXiv 2401.06432): hospitals train at ranks of their own; factors are filled up with
zeros and averaged by the size of their products, and ranks that do not help are pruned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import floor

import numpy as np
import torch
from torch import Tensor

from fedmrg_core.algorithms._factors import A, B, FactorMethod
from fedmrg_core.algorithms._ranks import check_ranks, rank_in_turn
from fedmrg_core.algorithms.base import Client, ServerState, Update, register
from fedmrg_core.algorithms.fedlora import product_norm2
from fedmrg_core.errors import choose, in_range
from fedmrg_core.models.lora_ranks import pad_ranks, slice_ranks
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import Payload, State

RANK = "rank"


@dataclass
class _Weights:
    """Sums over a cohort: of the factors' weights, and of the studies."""

    factors: float = 0.0
    studies: float = 0.0


@register("hetlora")
@dataclass(frozen=True)
class HetLoRA(FactorMethod):
    """A mean over the hospitals of zero-filled factors; a hospital takes the first r_k rows of A and columns of B.

    ranks: of the hospitals in turn (h01, h02, ..), at most `tuning.rank`; none = that rank for all. weights: of the
    factors: "norm", by |B_k A_k| over all matrices, as the paper, which favours the hospital that moved most; "size",
    by studies, as encoder and connector always are. pruning: c, weight of the loss c |B[:, g r:]| |A[g r:]|, whose
    last ranks go when it has fallen in a round; 0 = off, and with it, at equal ranks and weights by size, it is
    fedlora, bit by bit. keep: g. Pruned ranks are sent as zeros and counted. Unseen hospitals get the full rank.
    """

    ranks: tuple[int, ...] = (8, 4, 2)
    weights: str = "norm"
    pruning: float = 0.01
    keep: float = 0.99

    keeps = (RANK,)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranks(self.ranks)
        choose("algorithm.weights", self.weights, ("norm", "size"))
        in_range("algorithm.pruning", self.pruning, 0)
        in_range("algorithm.keep", self.keep, 0, 1)

    def rank_of(self, client_id: str) -> int | None:
        return rank_in_turn(self.ranks, client_id)

    # ---- server

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        sums = _Weights()

        def weigh(update: Update) -> Update:
            delta = self._zero_filled(server.params, update)
            sums.studies += update.weight
            if self.weights == "size":
                sums.factors += update.weight
                return replace(update, payload={**update.payload, "delta": delta})
            pairs = self.factors(server, update).values()
            norm = sum(product_norm2(b, a) for b, a in pairs) ** 0.5
            sums.factors += norm
            scaled = {n: t * (norm / update.weight) if A in n or B in n else t for n, t in delta.items()}
            return replace(update, payload={**update.payload, "delta": scaled})

        moved = super().aggregate(server, map(weigh, updates), rng)
        if self.weights == "size":
            return moved
        again = sums.studies / sums.factors if sums.factors > 0 else 0.0
        factors = {n: p + (moved.params[n] - p) * again for n, p in server.params.items() if A in n or B in n}
        return moved.moved({**moved.params, **factors})

    def _zero_filled(self, params: State, update: Update) -> State:
        """The update's delta, with which rows beyond the hospital's rank become 0."""
        rank, delta = self.rank_of(update.client_id), update.payload["delta"]
        if rank is None or rank >= self.tuning.rank:
            return delta
        factors = {name: params[name] + delta[name] for name in params if A in name or B in name}
        filled = pad_ranks(slice_ranks(factors, rank), {n: t.shape for n, t in params.items()}, rank)
        return {n: filled[n] - params[n] if n in filled else t for n, t in delta.items()}

    # ---- client

    def client_round(self, client: Client) -> Payload:
        if self.pruning == 0:
            return super().client_round(client)
        self._prune(client)
        before = float(self._tail(client).detach())
        payload = super().client_round(client)
        if float(self._tail(client).detach()) < before:
            client.memory[RANK] = {RANK: torch.tensor(max(1, floor(self.keep * self._rank(client))))}
        return payload

    def _rank(self, client: Client) -> int:
        """What is left of a hospital's rank."""
        own = client.memory.get(RANK)
        return int(own[RANK]) if own else min(self.rank_of(client.client_id) or self.tuning.rank, self.tuning.rank)

    def _prune(self, client: Client) -> None:
        rank, factors = self._rank(client), {n: p for n, p in client.shared().items() if A in n or B in n}
        shapes = {name: parameter.shape for name, parameter in factors.items()}
        client.load(pad_ranks(slice_ranks(factors, rank), shapes, rank))

    def _tail(self, client: Client) -> Tensor:
        """sum over matrices of |B[:, g r:]| |A[g r:]|."""
        rank, shared = self._rank(client), client.shared()
        start = floor(self.keep * rank)
        tails = [shared[name.replace(A, B)][:, start:rank].norm() * shared[name][start:rank].norm()
                 for name in shared if A in name]  # fmt: skip
        return torch.stack(tails).sum()

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        loss = super().local_loss(client, batch)
        return loss + self.pruning * self._tail(client) if self.pruning > 0 else loss
