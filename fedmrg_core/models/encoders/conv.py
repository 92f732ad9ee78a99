"""`encoder = "conv"`: a small convolutional encoder, trained from scratch on the public corpus."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedmrg_core.errors import ConfigError
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import Encoder, encoder

GROUPS = 8
"""Groups of each GroupNorm."""


@encoder("conv")
class ConvEncoder(Encoder):
    """Stages that each halve the side. GroupNorm instead of BatchNorm, so that there are no running statistics.

    64 px and four stages give 4 x 4 = 16 patches. As in a ViT, a learned position embedding [P, C] is added.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.encoder_channels
        if any(count % GROUPS for count in channels):
            raise ConfigError(f"model.encoder_channels = {list(channels)}: each must be a multiple of {GROUPS}")
        stages: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            stages += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(GROUPS, after), nn.GELU()]
        self.stages = nn.Sequential(*stages)
        self.width = channels[-1]
        side = -(-config.image_size // 2 ** len(channels))
        self.positions = nn.Parameter(torch.zeros(side * side, self.width))

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images.unsqueeze(1).float() - 127.5) / 64.0
        features: Tensor = self.stages(pixels)
        return features.flatten(2).transpose(1, 2) + self.positions
