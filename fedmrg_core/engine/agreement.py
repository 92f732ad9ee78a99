"""How large the clients' updates of a round are, and how far they agree: figures for the log, which decide nothing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.types import State

SAMPLE = 16_384
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
        vectors = {client: torch.cat(list(own.values())) for client, own in self._samples.items() if own}
        whole = _cosines(vectors)
        if whole:
            by_group = {group: _cosines({c: own[group] for c, own in self._samples.items()}) for group in self._norms}
            found["cosine"] = {g: _digits(sum(c.values()) / len(c)) for g, c in by_group.items() if c}
            found["cosine"]["all"] = _digits(sum(whole.values()) / len(whole))
        if whole and len(vectors) <= NAMED:
            found["pairs"] = [[a, b, _digits(value)] for (a, b), value in whole.items()]
        return found


def _cosines(vectors: dict[str, Tensor]) -> dict[tuple[str, str], float]:
    """Of each pair; none where lengths differ or a vector is 0."""
    names = sorted(vectors)
    if len({vector.numel() for vector in vectors.values()}) != 1 or not all(v.any() for v in vectors.values()):
        return {}
    unit = torch.stack([vectors[name] / vectors[name].norm() for name in names])
    product = (unit @ unit.T).tolist()
    return {(names[i], names[j]): product[i][j] for i, j in combinations(range(len(names)), 2)}


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
