"""How a run moves in its first rounds: losses, sizes of updates by group of parameters, and what each client weighs.

A client's weight is not read from the server but from its step: the server's move is, in the least-squares sense,
the sum of the clients' updates with these weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import torch

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState, Update
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.wire import unpack
from fedmrg_core.engine.messages import PERSONAL
from fedmrg_core.engine.rounds import RoundRecord
from fedmrg_core.types import State

ROUNDS = 2
"""Rounds that are compared, from the first one."""
_NO_LOSS = ("seconds", "cpu_seconds", "client_seconds")


class Trajectory:
    """Values of a run's first rounds by key, such as `round1/loss`, `round1/weight/h01`, `round2/update/h01/encoder`.

    algorithm: what `run_rounds` is to be given; on_round: its callback.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self.values: dict[str, float] = {}
        self.exact: dict[str, int] = {}
        self.algorithm = cast(Algorithm, _Watched(algorithm, self))

    def on_step(self, before: ServerState, deltas: Mapping[str, State], after: ServerState) -> None:
        """Called with each step of the server and the clients' updates that it is made of."""
        if before.round >= ROUNDS:
            return
        start = f"round{before.round + 1}"
        moved = tree.subtract(after.params, before.params)
        for who, state in (*((f"update/{name}", delta) for name, delta in deltas.items()), ("step", moved)):
            self.values |= {f"{start}/{who}/{group}": size for group, size in norms(state).items()}
        for name, weight in step_weights(moved, deltas).items():
            self.values[f"{start}/weight/{name}"] = weight

    def on_round(self, server: ServerState, store: ClientStore, log: RoundRecord) -> None:
        """Called after each round."""
        if log.round >= ROUNDS:
            return
        start = f"round{log.round + 1}"
        row = {**log.row, **log.row["diagnostics"]}
        losses = {name: value for name, value in row.items() if isinstance(value, float) and name not in _NO_LOSS}
        self.values |= {f"{start}/{name}": value for name, value in losses.items()}
        self.exact |= {
            f"{start}/{name}": log.row[name] for name in ("steps", "studies", "upload_bytes", "download_bytes")
        }
        for client in store.clients():
            personal = unpack(store.get(client)).get(PERSONAL, {})
            self.values |= {f"{start}/personal/{client}/{group}": size for group, size in norms(personal).items()}


class _Watched:
    """An algorithm whose steps of the server are reported; everything else is the algorithm's own."""

    def __init__(self, algorithm: Algorithm, trajectory: Trajectory) -> None:
        self._algorithm, self._trajectory = algorithm, trajectory

    def __getattr__(self, name: str) -> Any:
        return getattr(self._algorithm, name)

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        """The algorithm's own; updates are copied, because their memory is used again."""
        deltas: dict[str, State] = {}

        def watch(update: Update) -> Update:
            deltas[update.client_id] = tree.clone(update.payload["delta"])
            return update

        watched = map(watch, updates)
        after = self._algorithm.aggregate(server, list(watched) if self._algorithm.needs_all else watched, rng)
        self._trajectory.on_step(server, deltas, after)
        return after


def group_of(name: str) -> str:
    """The group of a parameter: its module, and of LoRA the adapter and the factor.

    >>> group_of("encoder.stem.weight"), group_of("lm.layers.0.q_proj.lora_A.generic.weight")
    ('encoder', 'lm.generic.A')
    """
    words = name.split(".")
    for factor in ("lora_A", "lora_B"):
        if factor in words:
            return f"{words[0]}.{words[words.index(factor) + 1]}.{factor[-1]}"
    return words[0]


def norms(state: State) -> dict[str, float]:
    """The Euclidean norm of each group of parameters."""
    squares: dict[str, float] = {}
    for name, tensor in state.items():
        if tensor.is_floating_point():
            squares[group_of(name)] = squares.get(group_of(name), 0.0) + float(tensor.double().square().sum())
    return {group: square**0.5 for group, square in sorted(squares.items())}


def step_weights(moved: State, deltas: Mapping[str, State]) -> dict[str, float]:
    """Client -> weight w with which |moved - sum of w delta| is least."""
    names = [name for name in moved if moved[name].is_floating_point()]

    def vector(state: State) -> torch.Tensor:
        return torch.cat([state[name].double().flatten() for name in names])

    updates = torch.stack([vector(delta) for delta in deltas.values()])
    weights = torch.linalg.lstsq(updates @ updates.T, updates @ vector(moved)[:, None]).solution[:, 0]
    return dict(zip(deltas, weights.tolist(), strict=True))
