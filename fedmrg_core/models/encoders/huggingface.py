"""`encoder = ID or FOLDER`: any Hugging Face vision model, from safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.errors import first_line
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.packaged import checkpoint_path
from fedmrg_core.models.pretrained import load_pretrained, refusal
from fedmrg_core.models.registry import CHECKPOINT, Encoder, encoder

PROCESSOR = "preprocessor_config.json"


@encoder(CHECKPOINT)
class HuggingFaceEncoder(Encoder):
    """Grey films are repeated over the model's channels and normalised as it was trained."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        from transformers import AutoModel

        self.backbone: Any = load_pretrained("encoder", config.encoder, AutoModel.from_pretrained, use_safetensors=True)
        self.channels = int(getattr(self.backbone.config, "num_channels", 3))
        mean, std = _normalisation(checkpoint_path(config.encoder), self.channels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.width = self._try(config)

    def _try(self, config: ModelConfig) -> int:
        """Encode one black film; returns the width of its features. Raises ConfigError if the model cannot do it."""
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                features = self(torch.zeros(1, config.image_size, config.image_size, dtype=torch.uint8))
        except Exception as error:  # whatever the model's code raises
            reason = f"it cannot encode films of image_size={config.image_size}: {first_line(error)}"
            raise refusal("encoder", config.encoder, reason) from error
        if features.dim() != 3 or features.shape[0] != 1:
            shape = f"{list(features.shape)}, not [1, patches, features]"
            raise refusal("encoder", config.encoder, f"its features of a film have shape {shape}")
        return int(features.shape[-1])

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.unsqueeze(1).float().div(255.0).expand(-1, self.channels, -1, -1)
        features: Tensor = self.backbone(pixel_values=(pixels - self.mean) / self.std).last_hidden_state
        return features.flatten(2).transpose(1, 2) if features.dim() == 4 else features


def _normalisation(path: str, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation [channels, 1, 1] of the checkpoint's image processor; 0.5 and 0.5 if it has none.

    Raises ConfigError if it has one that cannot be used.
    """
    from transformers import AutoImageProcessor

    mean, std = [0.5], [0.5]
    try:
        processor = AutoImageProcessor.from_pretrained(path)
        mean, std = list(processor.image_mean), list(processor.image_std)
    except (OSError, ValueError, AttributeError) as error:
        if (Path(path) / PROCESSOR).exists() and not isinstance(error, AttributeError):
            raise refusal("encoder", path, f"{PROCESSOR} cannot be read: {first_line(error)}") from error
    numbers = [value for value in (*mean, *std) if isinstance(value, int | float)]
    if len(numbers) != len(mean) + len(std) or min(std, default=0) <= 0:
        raise refusal("encoder", path, f"{PROCESSOR} has image_mean {mean} and image_std {std}")
    as_column = [torch.tensor((values * channels)[:channels]).view(-1, 1, 1) for values in (mean, std)]
    return as_column[0], as_column[1]
