"""FedLoRA (FedIT, Zhang et al., ICASSP 2024): the language model is frozen; LoRA factors, encoder and connector travel.

Factors are averaged one by one, and mean(B) mean(A) is not mean(B A). The round's row holds that error; with
`aggregation = "svd"` the server takes the best rank-r of the mean product instead, from the stacked factors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, ServerState, Update, register
from fedmrg_core.errors import ConfigError, choose
from fedmrg_core.models.lora_ranks import A, B
from fedmrg_core.models.tuning import LORA, Tuning
from fedmrg_core.types import State


@register("fedlora")
@dataclass(frozen=True)
class FedLoRA(Algorithm):
    """FedAvg over LoRA's factors.

    aggregation: "factors" (the mean of each factor) or "svd" (best rank-r of the mean product, from the stacked
    factors).
    """

    tuning: Tuning = LORA
    aggregation: str = "factors"

    family = "LoRA"

    def __post_init__(self) -> None:
        choose("algorithm.aggregation", self.aggregation, ("factors", "svd"))
        if self.aggregation == "svd" and not self.tuning.lora:
            raise ConfigError(f"aggregation = svd is of LoRA's factors; tuning.kind = {self.tuning.kind} has none.")

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        names = [name for name in server.params if A in name and name.replace(A, ".lora_E.") not in server.params]
        factors_of = lambda update: _moved_factors(server.params, update.payload["delta"], names)  # noqa: E731
        products, updates = mean_products(names, updates, factors_of)
        server = super().aggregate(server, updates, rng)
        figures = {"lora_product_error": product_error(server.params, products)} if names else {}
        if self.aggregation == "svd":
            factors, lost = mean_product_factors(products, self.tuning.rank)
            server, figures = server.moved({**server.params, **factors}), {**figures, "svd_truncation_error": lost}
        return replace(server, diagnostics={**server.diagnostics, **figures})


class Product:
    """The weighted mean of the clients' products B A of one matrix.

    It holds the clients' factors while they are smaller than the matrix, and the dense sum (float64) from then on:
    memory is bounded by one matrix, whatever the size of the cohort.
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor, float]] = []
        self._sum: Tensor | None = None
        self._weight = 0.0

    def add(self, left: Tensor, right: Tensor, weight: float) -> None:
        """One client's B [out, r] and A [r, in], float32."""
        self._weight += weight
        self._pairs.append((left, right, weight))
        shape = (left.shape[0], right.shape[1])
        if self._sum is None and self.num_bytes > prod(shape) * torch.float64.itemsize:
            self._sum = torch.zeros(shape, dtype=torch.float64)
        while self._sum is not None and self._pairs:
            b, a, w = self._pairs.pop(0)
            self._sum.addmm_(b.double(), a.double(), alpha=w)

    def factors(self) -> tuple[Tensor, Tensor]:
        """Two float64 matrices whose product is the mean: ([w1 B1 .. wn Bn], [A1; ..; An]) with weights that add up
        to 1, or the dense mean and an identity matrix."""
        if self._sum is not None:
            wide = self._sum.shape[0] < self._sum.shape[1]
            one = torch.eye(min(self._sum.shape), dtype=torch.float64)
            return (one, self._sum / self._weight) if wide else (self._sum / self._weight, one)
        left = torch.cat([b.double() * (weight / self._weight) for b, _, weight in self._pairs], dim=1)
        return left, torch.cat([a.double() for _, a, _ in self._pairs])

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensors held."""
        tensors = [self._sum] if self._sum is not None else [t for b, a, _ in self._pairs for t in (b, a)]
        return sum(tensor.nbytes for tensor in tensors)


def mean_products(
    names: Iterable[str], updates: Iterable[Update], factors: Callable[[Update], Iterable[tuple[str, Tensor, Tensor]]]
) -> tuple[dict[str, Product], Iterator[Update]]:
    """The mean product of every matrix, by the name of A, and the updates: it is whole once they were folded. factors:
    names, B and A of an update."""
    products = {name: Product() for name in names}

    def watch(update: Update) -> Update:
        for name, b, a in factors(update):
            products[name].add(b.to(torch.float32), a.to(torch.float32), update.weight)
        return update

    return products, map(watch, updates)


def _moved_factors(params: State, delta: State, names: Iterable[str]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, B and A of a client after its training."""
    for name in names:
        b, a = (params[n].double() + delta[n].double() for n in (name.replace(A, B), name))
        yield name, b, a


def product_error(params: State, products: dict[str, Product]) -> float:
    """|mean(B A) - mean(B) mean(A)| / |mean(B A)| in the Frobenius norm over all adapted matrices; 0 for one client.

    Computed from Gram matrices of the stacked factors: |X Y|^2 = <X^T X, Y Y^T>.
    """
    wrong = whole = 0.0
    for name, product in products.items():
        left, right = product.factors()
        mean_b, mean_a = params[name.replace(A, B)].double(), params[name].double()
        whole += product_norm2(left, right)
        wrong += product_norm2(torch.cat([left, -mean_b], dim=1), torch.cat([right, mean_a]))
    return float((max(wrong, 0.0) / whole) ** 0.5) if whole > 0 else 0.0


def mean_product_factors(products: dict[str, Product], rank: int) -> tuple[State, float]:
    """Best rank-r factors of every mean product, B = U S^1/2 and A = S^1/2 V^T with fixed signs, and the relative
    truncation error."""
    factors: State = {}
    lost = whole = 0.0
    for name, product in products.items():
        left, right = product.factors()
        u, s, vt = orthonormal_factors(left, right)
        root = s[:rank].sqrt()
        lost, whole = lost + float(s[rank:].square().sum()), whole + float(s.square().sum())
        factors[name.replace(A, B)] = (u[:, :rank] * root).to(torch.float32)
        factors[name] = (vt[:rank] * root[:, None]).to(torch.float32)
    return factors, float((lost / whole) ** 0.5) if whole > 0 else 0.0


def orthonormal_factors(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U [out, n], S [n] and V^T [n, in] of a product [out, n] [n, in], by QR of both, without the product itself. The
    largest entry of each column of U is positive, so that bits agree."""
    q_left, r_left = torch.linalg.qr(left)
    q_right, r_right = torch.linalg.qr(right.T)
    u, s, vt = torch.linalg.svd(r_left @ r_right.T)
    u, vt = q_left @ u, vt @ q_right.T
    sign = torch.sign(u.gather(0, u.abs().argmax(dim=0, keepdim=True)))
    sign[sign == 0] = 1
    return u * sign, s, vt * sign.T


def product_norm2(left: Tensor, right: Tensor) -> float:
    """The squared Frobenius norm of a product [out, n] [n, in], from two n x n matrices."""
    return float(((left.T @ left) * (right @ right.T)).sum())
