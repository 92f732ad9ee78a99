"""What a call to a worker carries there and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fedmrg_core.engine.memory.wire import Packed

PERSONAL, MEMORY, RESIDUE = "personal", "memory:", "residue"
"""Groups of a client's private state: personal parameters, the algorithm's own groups, the codec's residue."""


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

    events: what went otherwise than planned and was mended on the worker, for the round's `failures`.
    """

    client_id: str
    upload: Packed
    private: Packed
    weight: float
    losses: dict[str, float]
    steps: int
    seconds: float
    events: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class GenerateTask:
    """Films to report on: fixed rows in one batch, whose bits so do not depend on the number of workers."""

    rows: tuple[int, ...]
    personal: Packed | None
    oracle: bool = False


@dataclass(frozen=True)
class GenerateReply:
    """reports [k]; head: the diagnosis head's probabilities, float32 [k, 14, 4], or None."""

    reports: list[str]
    head: np.ndarray | None
    seconds: float
