"""Counter-based randomness: every generator is a function of (run seed, round, client, purpose). So no generator state
needs a checkpoint, and it does not matter which process runs a client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from the parts, the same on every machine.

    >>> derive_seed(0, 1, "h01", "batches")
    4860818454823816421
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator seeded by `derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))


@contextmanager
def torch_seed(*parts: int | str) -> Iterator[None]:
    """Seed torch's global generators (dropout, initialisers) by the parts within a block; restore them after it."""
    import torch  # imported here: metrics and data use numpy generators without torch

    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(*parts))
        yield
