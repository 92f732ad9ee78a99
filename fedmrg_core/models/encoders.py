"""Visual encoders behind one shape: grey films [B, S, S] (uint8) -> patch features [B, P, C]."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import load_pretrained


class ConvEncoder(nn.Module):
    """A small convolutional encoder: each stage halves the side; GroupNorm, so that there are no running statistics.

    64 px and four stages give 4 x 4 = 16 patches. As in a ViT, each patch has a learned place [P, C], added to it.
    """

    def __init__(self, channels: tuple[int, ...], image_size: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for before, after in zip((1, *channels[:-1]), channels, strict=True):
            stages += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.GELU()]
        self.stages = nn.Sequential(*stages)
        self.width = channels[-1]
        side = -(-image_size // 2 ** len(channels))
        self.places = nn.Parameter(torch.zeros(side * side, self.width))

    def forward(self, images: Tensor) -> Tensor:
        pixels = (images.unsqueeze(1).float() - 127.5) / 64.0
        features: Tensor = self.stages(pixels)
        return features.flatten(2).transpose(1, 2) + self.places


class HuggingFaceEncoder(nn.Module):
    """Any Hugging Face vision model; grey films are repeated over its channels and normalised as it was trained."""

    mean: Tensor
    std: Tensor

    def __init__(self, path: str) -> None:
        super().__init__()
        from transformers import AutoModel

        self.backbone: Any = load_pretrained("encoder", path, AutoModel.from_pretrained, use_safetensors=True)
        config = self.backbone.config
        self.width = int(getattr(config, "hidden_sizes", [0])[-1] or config.hidden_size)
        self.channels = int(getattr(config, "num_channels", 3))
        mean, std = _normalisation(path, self.channels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.unsqueeze(1).float().div(255.0).expand(-1, self.channels, -1, -1)
        features: Tensor = self.backbone(pixel_values=(pixels - self.mean) / self.std).last_hidden_state
        return features.flatten(2).transpose(1, 2) if features.dim() == 4 else features


def _normalisation(path: str, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation [channels, 1, 1] of the checkpoint's image processor; 0.5 and 0.5 where it has none."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(path)
        mean, std = processor.image_mean, processor.image_std
    except (OSError, ValueError, AttributeError):
        mean, std = [0.5], [0.5]
    as_column = [torch.tensor((values * channels)[:channels]).view(-1, 1, 1) for values in (list(mean), list(std))]
    return as_column[0], as_column[1]


def build_encoder(config: ModelConfig) -> ConvEncoder | HuggingFaceEncoder:
    """The encoder that `config.encoder` names."""
    if config.encoder == "conv":
        return ConvEncoder(config.encoder_channels, config.image_size)
    return HuggingFaceEncoder(config.encoder)
