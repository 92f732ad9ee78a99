"""The phantom as a data set: generated from a seed, it needs no folder."""

from __future__ import annotations

from fedmrg_core.data.catalogue import data_set
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.source import Source


@data_set("phantom", default_split="phantom/group")
def open_phantom(data: DataConfig, seed: int) -> Source:
    """The hospitals of the draw `seed`."""
    from fedmrg_core.data.phantom import PhantomConfig, PhantomSource

    return PhantomSource(PhantomConfig.load(), seed)
