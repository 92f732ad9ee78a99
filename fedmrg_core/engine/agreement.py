"""How large the clients' updates of a round are, and how far they agree: figures for the log, which decide nothing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.types import State

SAMPLE = 4_096
"""Values of a group that are looked at, evenly spaced; a smaller group is looked at whole."""
COMPARED = 64
"""Clients of a round that are compared with each other: the first ones in the order of folding."""
NAMED = 16
"""Up to so many compared clients, each pair has its own figure."""


class Agreement:
    """The updates of one round. Groups are the first parts of parameters' names: encoder, connector, lm .."""

    def __init__(self) -> None:
        self._norms: dict[str, list[float]] = {}
        self._samples: dict[str, dict[str, Tensor]] = {}

    def add(self, client: str, delta: State) -> None:
        """Take in one client's decoded update; keeps no reference to it."""
        groups: dict[str, list[Tensor]] = {}
        for name, tensor in delta.items():
            if tensor.is_floating_point():
                groups.setdefault(name.split(".")[0], []).append(tensor.detach().reshape(-1))
        samples = {}
        for group, tensors in groups.items():
            size = sum(tensor.numel() for tensor in tensors)
            step = -(-size // SAMPLE) or 1
            sample = torch.cat([tensor[::step] for tensor in tensors]).float()
            samples[group] = sample
            self._norms.setdefault(group, []).append(float(sample.norm()) * (size / max(sample.numel(), 1)) ** 0.5)
        if len(self._samples) < COMPARED:
            self._samples[client] = samples

    def figures(self) -> dict[str, Any]:
        """norm: mean Euclidean norm of the updates, by group. cosine: mean cosine of two clients' updates, by group and
        of `all` groups. pairs: [client, client, cosine] of each pair, for few clients. Empty where nothing was sent."""
        if not any(self._norms.values()):
            return {}
        found: dict[str, Any] = {"norm": {g: _digits(sum(n) / len(n)) for g, n in self._norms.items()}}
        names = sorted(self._samples)
        products = [_products([self._samples[name].get(group) for name in names]) for group in self._norms]
        known = {g: p for g, p in zip(self._norms, products, strict=True) if p is not None}
        whole = _cosines(sum(known.values())) if len(known) == len(products) else None
        if whole is None:
            return found
        by_group = {"all": whole} | {g: c for g, p in known.items() if (c := _cosines(p)) is not None}
        pairs = list(combinations(range(len(names)), 2))
        found["cosine"] = {g: _digits(sum(c[i][j] for i, j in pairs) / len(pairs)) for g, c in by_group.items()}
        if len(names) <= NAMED:
            found["pairs"] = [[names[i], names[j], _digits(whole[i][j])] for i, j in pairs]
        return found


def _products(samples: list[Tensor | None]) -> Tensor | None:
    """Inner products [N, N] of N clients' samples of a group; None where their lengths differ."""
    there = [sample for sample in samples if sample is not None]
    if len(there) < len(samples) or len({len(sample) for sample in there}) != 1:
        return None
    rows = torch.stack(there)
    return rows @ rows.T


def _cosines(products: Any) -> list[list[float]] | None:
    """Cosines [N, N]; None for fewer than two clients, or where a vector is 0."""
    squares = products.diagonal()
    if len(squares) < 2 or not bool((squares > 0).all()):
        return None
    length = squares.sqrt()
    cosines: list[list[float]] = (products / length[:, None] / length).tolist()
    return cosines


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
