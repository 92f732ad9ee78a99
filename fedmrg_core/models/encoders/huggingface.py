"""`encoder = ID or FOLDER`: any Hugging Face vision model, from safetensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import load_pretrained
from fedmrg_core.models.registry import CHECKPOINT, Encoder, encoder


@encoder(CHECKPOINT)
class HuggingFaceEncoder(Encoder):
    """Grey films are repeated over the model's channels and normalised as it was trained."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        from transformers import AutoModel

        self.backbone: Any = load_pretrained("encoder", config.encoder, AutoModel.from_pretrained, use_safetensors=True)
        settings = self.backbone.config
        self.width = int(getattr(settings, "hidden_sizes", [0])[-1] or settings.hidden_size)
        self.channels = int(getattr(settings, "num_channels", 3))
        mean, std = _normalisation(config.encoder, self.channels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.unsqueeze(1).float().div(255.0).expand(-1, self.channels, -1, -1)
        features: Tensor = self.backbone(pixel_values=(pixels - self.mean) / self.std).last_hidden_state
        return features.flatten(2).transpose(1, 2) if features.dim() == 4 else features


def _normalisation(path: str, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation [channels, 1, 1] of the checkpoint's image processor; 0.5 and 0.5 if it has none."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(path)
        mean, std = processor.image_mean, processor.image_std
    except (OSError, ValueError, AttributeError):
        mean, std = [0.5], [0.5]
    as_column = [torch.tensor((values * channels)[:channels]).view(-1, 1, 1) for values in (list(mean), list(std))]
    return as_column[0], as_column[1]
