"""The size of films that an encoder's checkpoint was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.packaged import checkpoint_path, is_fetched, is_packaged
from fedmrg_core.models.pretrained import load_pretrained

USUAL = 224
"""Where a checkpoint does not tell."""


def size_of_checkpoint(encoder: str) -> int:
    """Pixels per side of a checkpoint that is on this machine; 0 for one that must be fetched first."""
    here = is_fetched(encoder) if is_packaged(encoder) else Path(encoder).is_dir()
    return read_size(encoder) if here else 0


def with_image_size(config: ModelConfig) -> ModelConfig:
    """The settings with the size of the encoder's checkpoint where none is set. Raises ConfigError if that cannot be
    read."""
    return config if config.image_size else replace(config, image_size=read_size(config.encoder))


def read_size(encoder: str) -> int:
    """Pixels per side, by the checkpoint's configuration, its image processor, or 224."""
    from transformers import AutoConfig, AutoImageProcessor

    config = load_pretrained("encoder", encoder, AutoConfig.from_pretrained)
    found = _side(getattr(getattr(config, "vision_config", config), "image_size", None))
    if found:
        return found
    try:
        processor = AutoImageProcessor.from_pretrained(checkpoint_path(encoder))
    except (OSError, ValueError):
        return USUAL
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    return _side(crop) or _side(getattr(processor, "size", None)) or USUAL


def _side(size: Any) -> int:
    """A size as configurations write it: a number, a pair, or a table of height and width, or of the shortest edge."""
    if isinstance(size, list | tuple):
        return int(max(size))
    if isinstance(size, int) or size is None:
        return size or 0
    return int(getattr(size, "height", None) or getattr(size, "shortest_edge", None) or 0)
