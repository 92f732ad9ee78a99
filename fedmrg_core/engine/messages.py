"""What a call to a worker carries: tasks down, replies up, and the groups inside their payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fedmrg_core.algorithms.base import ClientState, ServerState
from fedmrg_core.engine.memory.wire import Packed
from fedmrg_core.types import Payload

PERSONAL, MEMORY, RESIDUE = "personal", "memory:", "residue"
"""Groups of a client's private state: personal parameters, the algorithm's own groups, the codec's residue."""
SHARED = "shared"
"""The group of a broadcast that holds the shared parameters."""


def memory_of(payload: Payload) -> Payload:
    """An algorithm's own groups, by the names that it gave them."""
    return {group.removeprefix(MEMORY): state for group, state in payload.items() if group.startswith(MEMORY)}


def client_state(client_id: str, private: Payload) -> ClientState:
    """A client's private groups as an algorithm sees them."""
    return ClientState(client_id, private.get(PERSONAL, {}), memory_of(private))


def server_payload(server: ServerState) -> Payload:
    """The server's state as a broadcast of an evaluation."""
    return {SHARED: server.params, **{f"{MEMORY}{group}": state for group, state in server.memory.items()}}


def server_state(payload: Payload, round_number: int) -> ServerState:
    """The inverse of `server_payload`."""
    return ServerState(payload.get(SHARED, {}), memory_of(payload), round_number)


@dataclass(frozen=True)
class TrainTask:
    """One client's work in one round. attempt: 1, or more after the death of an actor that had it."""

    client_id: str
    round: int
    private: Packed
    attempt: int = 1


@dataclass(frozen=True)
class TrainReply:
    """What comes back: the upload (codec applied), the next private state, and figures for the log.

    losses: means over the steps. studies: how many were trained on, each as often as it was in a batch. cpu_seconds: of
    the worker's process, which other work on the machine does not lengthen as it does `seconds`. events: what went
    wrong and was mended on the worker, for the round's `failures`.
    """

    client_id: str
    upload: Packed
    private: Packed
    weight: float
    losses: dict[str, float]
    steps: int
    seconds: float
    cpu_seconds: float = 0.0
    events: tuple[dict[str, Any], ...] = ()
    studies: int = 0


@dataclass(frozen=True)
class AdaptTask:
    """Few-shot adaptation of one hospital that took no part: training rows, and optimiser steps on them."""

    client_id: str
    rows: tuple[int, ...]
    steps: int
    round: int


@dataclass(frozen=True)
class GenerateTask:
    """Films to report on: one batch of fixed rows, so that its bits do not depend on the number of workers.

    private: the client's private state in the personal view, None in the global view. round: the server's.
    """

    rows: tuple[int, ...]
    private: Packed | None = None
    oracle: bool = False
    client_id: str = ""
    round: int = 0


@dataclass(frozen=True)
class GenerateReply:
    """reports [k]; head: the diagnosis head's probabilities, float32 [k, 14, 4], or None. cut: which reports the length
    cap cut off, [k]. nll: of each reference, its negative log-likelihood in nats and its tokens, float64 [k, 2]."""

    reports: list[str]
    head: np.ndarray | None
    seconds: float
    cut: list[bool]
    nll: np.ndarray
