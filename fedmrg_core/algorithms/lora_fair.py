"""LoRA-FAIR (Bian et al., ICCV 2025, arXiv 2411.14961): factors are averaged, and the server corrects B so that its
product points where the mean product does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedmrg_core.algorithms._factors import A, B, FactorMethod
from fedmrg_core.algorithms.base import ServerState, Update, register
from fedmrg_core.algorithms.fedlora import Product, product_norm2
from fedmrg_core.errors import choose, in_range
from fedmrg_core.types import State


@register("lora-fair")
@dataclass(frozen=True)
class LoRAFair(FactorMethod):
    """A = mean(A), B = mean(B) + D, with D the least of 1 - cos(mean(B A), (mean(B) + D) A) + lam |D| per matrix.

    lam: the larger, the closer to fedlora, which it is from some value on, bit by bit. solver: "cosine", the paper's
    objective, by proximal gradient descent; "least-squares", a variant of ours with a closed form: the least of
    |mean(B A) - (mean(B) + D) A|^2 + lam |D|^2. steps: of the descent. Nothing of it needs a matrix of W0's size.
    """

    lam: float = 0.01
    solver: str = "cosine"
    steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.lam", self.lam, 0)
        choose("algorithm.solver", self.solver, ("cosine", "least-squares"))
        in_range("algorithm.steps", self.steps, 1)

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        products, updates = self.products(server, updates)
        moved = super().aggregate(server, updates, rng)
        fair: State = {}
        for name, product in products.items():
            other = name.replace(A, B)
            b, a = moved.params[other].double(), moved.params[name].double()
            fair[other] = (b + self.correction(product, b, a)).to(moved.params[other])
        return moved.moved({**moved.params, **fair})

    def correction(self, product: Product, b: Tensor, a: Tensor) -> Tensor:
        """D [out, r] for the mean product and the means B and A, float64."""
        left, right = product.factors()
        target, gram = left @ (right @ a.T), a @ a.T
        if self.solver == "least-squares":
            ridge = gram + self.lam * torch.eye(len(gram), dtype=gram.dtype)
            fitted: Tensor = torch.linalg.lstsq(ridge, (target - b @ gram).T).solution.T
            return fitted
        return _descent(target, gram, product_norm2(left, right) ** 0.5, b, self.lam, self.steps)


def _descent(target: Tensor, gram: Tensor, norm: float, b: Tensor, lam: float, steps: int) -> Tensor:
    """Proximal gradient descent from D = 0 of 1 - cos + lam |D|.

    target: M A^T. gram: A A^T. norm: |M|. With X = B + D and q = |X A|: cos = <target, X> / (norm q).
    """
    correction, steepest = torch.zeros_like(b), float(torch.linalg.eigvalsh(gram)[-1])
    for _ in range(steps):
        x = b + correction
        q = float(((x @ gram) * x).sum().clamp_min(0)) ** 0.5
        if q == 0 or norm == 0:
            break
        gradient = ((target * x).sum() / q**2 * (x @ gram) - target) / (norm * q)
        size = q**2 / steepest
        moved = correction - size * gradient
        length = float(moved.norm())
        correction = moved * max(0.0, 1 - size * lam / length) if length > 0 else moved
    return correction
