"""For methods whose hospitals have an adapter of their own beside the shared one: how each hospital chooses, after the
last round, what generates its reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Client, ClientState, ServerState
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch
from fedmrg_core.types import State

GENERIC, SPECIALISED = "generic", "specialised"
OWN_SHARE = "own_share"
"""The group of `client.memory` that holds the chosen share."""
FINETUNED = "finetuned"
"""The group that holds what a hospital has fine-tuned."""
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""What a hospital chooses from: 1 = its own adapter counts in full, 0 = not at all."""
UNMIXED = (1.0, 0.0)
"""The same for adapters that cannot be weighted: all kinds but LoRA."""


@dataclass(frozen=True)
class OwnAdapter(FedLoRADx):
    """FedLoRA-dx with a specialised adapter that never leaves the hospital, and a choice after the last round.

    choose_share: each hospital chooses on its validation part how much its own adapter counts in generation; false = in
    full. finetune_epochs: so many epochs each hospital then trains encoder, connector, diagnosis head and prompts on
    its own studies, at the configured rates, and takes the state (after one of them, or before) whose validation
    reports are likeliest; 0 = off.
    """

    choose_share: bool = True
    finetune_epochs: int = 0

    family = "two adapters"

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.finetune_epochs", self.finetune_epochs, 0)

    def is_shared(self, name: str) -> bool:
        return f".{SPECIALISED}." not in name

    def shares(self) -> tuple[float, ...]:
        """What a hospital chooses from, the first of equals."""
        if not self.choose_share:
            return SHARES[:1]
        return SHARES if self.tuning.lora else UNMIXED

    def weights_at(self, share: float) -> dict[str, float]:
        """The adapters' weights where the own adapter counts by `share`; one of weight 0 is left out."""
        raise NotImplementedError

    # ---- after the last round

    @property
    def keeps(self) -> tuple[str, ...]:
        return ((OWN_SHARE,) if self.finishes else ()) + ((FINETUNED,) if self.finetune_epochs else ())

    @property
    def finishes(self) -> bool:
        return len(self.shares()) > 1 or self.finetune_epochs > 0

    def client_finish(self, client: Client) -> None:
        nll, share = self._best_share(client)
        if self.finetune_epochs:
            share = self._finetune(client, nll, share)
        client.memory[OWN_SHARE] = {"share": torch.tensor(share)}
        client.log(OWN_SHARE, torch.tensor(share))

    def _finetune(self, client: Client, nll: float, share: float) -> float:
        """Train on from a state with this NLL at this share; leaves the likeliest state, and returns its share."""
        state, kept = client.state(), 0
        for epoch in range(1, self.finetune_epochs + 1):
            client.fit(_outside_the_lm, self.finetune_loss, epochs=1, rate=1.0)
            found = self._best_share(client)
            if found[0] < nll:
                nll, share = found
                state, kept = client.state(), epoch
        client.load(state)
        client.log("finetuned_epochs", torch.tensor(float(kept)))
        if kept:
            client.memory[FINETUNED] = {name: tensor for name, tensor in state.items() if _outside_the_lm(name)}
        return share

    def _best_share(self, client: Client) -> tuple[float, float]:
        """The share at which the hospital's validation reports are likeliest, after their nats per token."""
        nll = {share: client.validation_nll(self.weights_at(share)) for share in self.shares()}
        share = min(nll, key=lambda one: nll[one])
        return nll[share], share

    def finetune_loss(self, client: Client, batch: Batch) -> Tensor:
        """The loss of what generates at the hospital, without what only serves others."""
        return self.path_loss(client, batch, tuple(self.weights_at(1.0)))

    # ---- inference

    def has_personal_view(self, client: ClientState) -> bool:
        return bool(client.personal) or FINETUNED in client.memory

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        if client is None:
            return server.params
        return {**server.params, **client.memory.get(FINETUNED, {}), **client.personal}

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        return self.weights_at(chosen_share(client)) if client is not None and client.personal else {GENERIC: 1.0}


def _outside_the_lm(name: str) -> bool:
    return not name.startswith("lm.")


def chosen_share(client: ClientState) -> float:
    """The hospital's choice; 1 where it has made none."""
    return float(client.memory[OWN_SHARE]["share"]) if OWN_SHARE in client.memory else 1.0


def blend(share: float) -> dict[str, float]:
    """Both adapters, with weights that add up to 1."""
    return {name: weight for name, weight in ((GENERIC, 1 - share), (SPECIALISED, share)) if weight}


def stack(share: float) -> dict[str, float]:
    """The shared adapter in full, and beside it the own one by its share."""
    return {name: weight for name, weight in ((GENERIC, 1.0), (SPECIALISED, share)) if weight}
