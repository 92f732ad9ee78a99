"""For methods whose server adds to the frozen matrices: W0 + C, beside the factors B and A.

The server adds a change of a round, low-rank factors for each adapted matrix, to C. It sends those factors to hospitals
that took part in the round before, and C to all others; where the factors would be larger than the matrix, C to all.
Each hospital keeps C, and adds it to its own copy of the frozen matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from fedmrg_core.algorithms._factors import A, B, FactorMethod
from fedmrg_core.algorithms.base import Client, ClientState, ServerState, Update
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.report_model import ReportModel
from fedmrg_core.models.rounded import WHOLE
from fedmrg_core.types import Payload, State

CHANGE, LEFT, RIGHT, SEEN = "base_change", "left", "right", "seen"
"""Groups of the server's memory: C [out, in] by the name of its factor A, the last change's factors [out, n] and
[n, in], and the round of each hospital's last update. Hospitals say that themselves: an update that is used again in
place of a failed one does not mean that its hospital has the newest change."""
Pair = tuple[float, Tensor, Tensor]
"""A hospital's share of the cohort's weight, its B [out, r] and its A [r, in]."""


@dataclass(frozen=True)
class ChangedBase(FactorMethod):
    """A subclass says in `change` what joins C, and in `restart` what becomes of the factors."""

    keeps = (CHANGE,)

    def change(self, pairs: list[Pair], mean_b: Tensor, mean_a: Tensor) -> tuple[Tensor, Tensor]:
        """The factors [out, n], [n, in] of what is added to C for one matrix; float64."""
        raise NotImplementedError

    def restart(self, params: State, rng: np.random.Generator) -> State:
        """The factors from which hospitals go on; by default the mean ones."""
        return params

    def configure_model(self, model: ReportModel, seed: int) -> None:
        if model.config.lm_bits != WHOLE:
            raise ConfigError(f"this algorithm adds to the weights that model.lm_bits = {model.config.lm_bits} rounds.")
        super().configure_model(model, seed)
        for name, module in model.named_modules():
            _check_orientation(name, module)

    # ---- server

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        payload, memory = {**super().broadcast(server, client_id), SEEN: _round(server)}, server.memory
        if CHANGE not in memory:
            return payload
        seen = memory[SEEN].get(client_id)
        current = seen is not None and int(seen) == server.round - 1
        if current and memory[LEFT].keys() == memory[CHANGE].keys():
            return {**payload, LEFT: memory[LEFT], RIGHT: memory[RIGHT]}
        return {**payload, CHANGE: memory[CHANGE]}

    def upload_layout(self, server: ServerState) -> Payload:
        return {**super().upload_layout(server), SEEN: _round(server)}

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        found: dict[str, list[Pair]] = {name: [] for name in server.params if A in name}
        seen = dict(server.memory.get(SEEN, {}))

        def watch(update: Update) -> Update:
            for name, (b, a) in self.factors(server, update).items():
                found[name].append((update.weight, b, a))
            seen[update.client_id] = update.payload[SEEN]["round"]
            return update

        moved = super().aggregate(server, map(watch, updates), rng)
        memory = self._changed(server, moved.params, found)
        return replace(moved.moved(self.restart(moved.params, rng)), memory={**server.memory, **memory, SEEN: seen})

    def _changed(self, server: ServerState, params: State, found: Mapping[str, list[Pair]]) -> Payload:
        """The groups CHANGE, LEFT and RIGHT after a round. Factors that are larger than their matrix are dropped."""
        memory: dict[str, dict[str, Tensor]] = {CHANGE: {}, LEFT: {}, RIGHT: {}}
        for name, pairs in found.items():
            whole = sum(weight for weight, _, _ in pairs)
            shares = [(weight / whole, b, a) for weight, b, a in pairs]
            both = self.change(shares, params[name.replace(A, B)].double(), params[name].double())
            left, right = (factor.to(torch.float32) for factor in both)
            before = server.memory.get(CHANGE, {}).get(name)
            memory[CHANGE][name] = grown(before, left, right)
            if left.numel() + right.numel() < memory[CHANGE][name].numel():
                memory[LEFT][name], memory[RIGHT][name] = left, right
        return memory

    # ---- client

    def client_round(self, client: Client) -> Payload:
        change = client.received.get(CHANGE) or client.memory.get(CHANGE, {})
        for name, left in client.received.get(LEFT, {}).items():
            change = {**change, name: grown(change.get(name), left, client.received[RIGHT][name])}
        if change:
            client.memory[CHANGE] = change
            client.load(changed(dict(client.model.named_parameters()), change))
        return {**super().client_round(client), SEEN: {"round": client.received[SEEN]["round"].cpu()}}

    # ---- inference

    def has_personal_view(self, client: ClientState) -> bool:
        return False

    def eval_params(self, server: ServerState, client: ClientState | None, base: Mapping[str, Tensor]) -> State:
        return {**server.params, **changed(base, server.memory.get(CHANGE, {}))}


def _round(server: ServerState) -> State:
    return {"round": torch.tensor(server.round)}


def grown(change: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """C + left right, by the same arithmetic on the server and at the hospitals."""
    return left @ right if change is None else change + left @ right


def changed(base: Mapping[str, Tensor], change: State) -> State:
    """The frozen matrices with their C added, by their names in the model."""
    state: State = {}
    for name, added in change.items():
        layer = name.split(A)[0]
        weight = f"{layer}.base_layer.weight" if f"{layer}.base_layer.weight" in base else f"{layer}.weight"
        own = base[weight].detach()
        state[weight] = own + (added if added.shape == own.shape else added.T).to(own)
    return state


def _check_orientation(name: str, module: nn.Module) -> None:
    """A layer that stores its matrix transposed (GPT-2's) is told by the shape, so it must not be square."""
    base = getattr(module, "base_layer", None)
    if base is None or isinstance(base, nn.Linear):
        return
    if base.weight.dim() != 2 or base.weight.shape[0] == base.weight.shape[1]:
        raise ConfigError(f"{name}: a square {type(base).__name__} may be stored transposed, so nothing can be added.")
