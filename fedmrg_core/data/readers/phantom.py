"""The phantom as a data set: generated from a seed, it needs no folder."""

from __future__ import annotations

from fedmrg_core.data.catalogue import Knobs, data_set
from fedmrg_core.data.config import DataConfig
from fedmrg_core.data.source import Source


@data_set("phantom", default_split="phantom/group")
def open_phantom(data: DataConfig, seed: int, knobs: Knobs | None = None) -> Source:
    """The hospitals of the draw `seed`, with the knobs of a split's recipe."""
    from fedmrg_core.data.phantom import PhantomConfig, PhantomSource

    return PhantomSource(PhantomConfig.load(overrides=knobs), seed)
