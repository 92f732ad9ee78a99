"""FedLoRA (FedIT, Zhang et al., ICASSP 2024): the language model is frozen; LoRA factors, encoder and connector travel.

Factors are averaged one by one, and mean(B) mean(A) is not mean(B A). The round's row holds that error; with
`aggregation = "svd"` the server takes the best rank-r of the mean product instead, from the stacked factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, ServerState, Update, register
from fedmrg_core.models.tuning import LORA, Tuning
from fedmrg_core.types import State

A, B = ".lora_A.", ".lora_B."


@register("fedlora")
@dataclass(frozen=True)
class FedLoRA(Algorithm):
    """FedAvg over LoRA's factors.

    aggregation: "factors" (the mean of each factor) or "svd" (best rank-r of the mean product; QR of the stacked
    factors, never a dense matrix; its memory grows with the cohort's factors).
    """

    tuning: Tuning = LORA
    aggregation: str = "factors"

    def aggregate(self, server: ServerState, updates: Iterable[Update]) -> ServerState:
        names = [name for name in server.params if A in name]
        pairs: dict[str, list[tuple[Tensor, Tensor, float]]] = {name: [] for name in names}

        def watch() -> Iterator[Update]:
            for update in updates:
                delta = update.payload["delta"]
                for name in names:
                    left, right = (_moved(server.params, delta, n) for n in (name.replace(A, B), name))
                    pairs[name].append((left, right, update.weight))
                yield update

        server = super().aggregate(server, watch())
        figures = {"lora_product_error": product_error(server.params, pairs)} if names else {}
        if self.aggregation == "svd":
            factors, lost = mean_product_factors(pairs, self.tuning.rank)
            server, figures = server.moved({**server.params, **factors}), {**figures, "svd_truncation_error": lost}
        return replace(server, diagnostics={**server.diagnostics, **figures})


def _moved(params: State, delta: State, name: str) -> Tensor:
    return (params[name].double() + delta[name].double()).to(torch.float32)


def product_error(params: State, pairs: dict[str, list[tuple[Tensor, Tensor, float]]]) -> float:
    """|mean(B A) - mean(B) mean(A)| / |mean(B A)| in the Frobenius norm over all adapted matrices; 0 for one client.

    Computed from Gram matrices of the stacked factors: |X Y|^2 = <X^T X, Y Y^T>.
    """
    wrong = whole = 0.0
    for name, group in pairs.items():
        left, right = _stack(group)
        mean_b, mean_a = params[name.replace(A, B)].double(), params[name].double()
        whole += _product_norm2(left, right)
        wrong += _product_norm2(torch.cat([left, -mean_b], dim=1), torch.cat([right, mean_a]))
    return float((max(wrong, 0.0) / whole) ** 0.5) if whole > 0 else 0.0


def mean_product_factors(pairs: dict[str, list[tuple[Tensor, Tensor, float]]], rank: int) -> tuple[State, float]:
    """Best rank-r factors of every mean product, B = U S^1/2 and A = S^1/2 V^T with fixed signs, and the relative
    truncation error."""
    factors: State = {}
    lost = whole = 0.0
    for name, group in pairs.items():
        left, right = _stack(group)
        q_left, r_left = torch.linalg.qr(left)
        q_right, r_right = torch.linalg.qr(right.T)
        u, s, vt = torch.linalg.svd(r_left @ r_right.T)
        u, vt = q_left @ u[:, :rank], vt[:rank] @ q_right.T
        sign = torch.sign(u.gather(0, u.abs().argmax(dim=0, keepdim=True)))
        sign[sign == 0] = 1
        root = s[:rank].sqrt()
        lost, whole = lost + float(s[rank:].square().sum()), whole + float(s.square().sum())
        factors[name.replace(A, B)] = (u * sign * root).to(torch.float32)
        factors[name] = (vt * sign.T * root[:, None]).to(torch.float32)
    return factors, float((lost / whole) ** 0.5) if whole > 0 else 0.0


def _stack(group: list[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor]:
    """([w1 B1 .. wn Bn], [A1; ..; An]) in float64, weights adding up to 1: their product is the mean product."""
    total = sum(weight for _, _, weight in group)
    left = torch.cat([b.double() * (weight / total) for b, _, weight in group], dim=1)
    return left, torch.cat([a.double() for _, a, _ in group])


def _product_norm2(left: Tensor, right: Tensor) -> float:
    return float(((left.T @ left) * (right @ right.T)).sum())
