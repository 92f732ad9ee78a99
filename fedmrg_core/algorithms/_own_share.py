"""How much a hospital's own adapter counts in generation: the hospital chooses on its validation part."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fedmrg_core.algorithms.base import Client, ClientState
from fedmrg_core.models.tuning import AdapterWeights

GROUP = "own_share"
"""The group of `client.memory` that holds the choice."""
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""What a hospital chooses from: 1 = its own adapter counts in full, 0 = not at all."""
UNMIXED = (1.0, 0.0)
"""The same for adapters that cannot be weighted: all kinds but LoRA."""


def choose_share(client: Client, weights: Callable[[float], AdapterWeights], mixes: bool) -> None:
    """Store the share at which the hospital's own validation reports are likeliest, the largest of equals.

    weights: the adapters' weights at a share. mixes: whether adapters can have a weight between 0 and 1.
    """
    shares = SHARES if mixes else UNMIXED
    nll = {share: client.validation_nll(weights(share)) for share in shares}
    chosen = min(shares, key=lambda share: nll[share])
    client.memory[GROUP] = {"share": torch.tensor(chosen)}
    client.log(GROUP, torch.tensor(chosen))


def chosen_share(client: ClientState) -> float:
    """The hospital's choice; 1 where it has made none."""
    return float(client.memory[GROUP]["share"]) if GROUP in client.memory else 1.0


def blend(shared: str, own: str, share: float) -> dict[str, float]:
    """Two adapters whose weights add up to 1; one of weight 0 is left out."""
    return {name: weight for name, weight in ((shared, 1 - share), (own, share)) if weight}


def stack(shared: str, own: str, share: float) -> dict[str, float]:
    """The shared adapter in full, and beside it the own one by its share."""
    return {name: weight for name, weight in ((shared, 1.0), (own, share)) if weight}
