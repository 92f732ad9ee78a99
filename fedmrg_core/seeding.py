"""Counter-based randomness: every generator is a function of (run seed, round, client, purpose), so that there is
no generator state to checkpoint and placement cannot change a result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from the parts, equal on every machine.

    >>> derive_seed(0, 1, "h01", "batches") == derive_seed(0, 1, "h01", "batches")
    True
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))


@contextmanager
def torch_seed(*parts: int | str) -> Iterator[None]:
    """Run a block under torch's global generator (dropout, initialisers) seeded by the parts, and put it back after."""
    import torch  # here, so that metrics and data need no torch for a numpy generator

    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(*parts))
        yield
