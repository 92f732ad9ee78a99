"""`encoder = ID or FOLDER`: any Hugging Face vision model, or the vision half of a CLIP or SigLIP, from safetensors."""

from __future__ import annotations

import inspect
from math import isqrt
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmrg_core.errors import first_line
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.packaged import checkpoint_path
from fedmrg_core.models.pretrained import load_weights, refusal
from fedmrg_core.models.registry import CHECKPOINT, Encoder, encoder
from fedmrg_core.models.shapes import building_shapes

PROCESSOR = "preprocessor_config.json"
MAX_EXTRA = 32
"""More tokens than this beside the patches are not taken for class, register or distillation tokens."""


@encoder(CHECKPOINT)
class HuggingFaceEncoder(Encoder):
    """Grey films are repeated over the model's channels and normalised as it was trained.

    Its features are those of patches: class, distillation and register tokens, which come first, are left out. extra:
    how many there are. A grid of more patches than `max_patches` is averaged down to a coarser one.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.backbone, missing = load_weights("encoder", config.encoder, _vision_model)
        facts = self.backbone.config
        self.channels = int(getattr(facts, "num_channels", 3))
        mean, std = _normalisation(checkpoint_path(config.encoder), self.channels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.max_patches, self.extra = config.max_patches, 0
        self._options = _forward_options(self.backbone, config.image_size)
        self.width, self.unused = self._try(config)
        if lost := sorted(missing - {name.removeprefix("backbone.") for name in self.unused}):
            raise refusal("encoder", config.encoder, f"it lacks {len(lost)} weights that are needed, as {lost[0]}")

    def _try(self, config: ModelConfig) -> tuple[int, frozenset[str]]:
        """Encode one film; returns the width of the features, and the names of parameters that do not matter for them.
        Raises ConfigError if the model cannot do it."""
        films = torch.randint(0, 256, (1, config.image_size, config.image_size), dtype=torch.uint8)
        try:
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
                self.extra = _extra_tokens(self._features(films), self.backbone.config, config.image_size)
                features = self(films)
        except Exception as error:  # whatever the model's code raises
            reason = f"it cannot encode films of image_size={config.image_size}: {first_line(error)}"
            raise refusal("encoder", config.encoder, reason) from error
        used = leaves_of(features)
        return int(features.shape[-1]), frozenset(n for n, p in self.named_parameters() if id(p) not in used)

    def _features(self, images: Tensor) -> Tensor:
        """The model's last hidden state: a map [B, C, h, w], or tokens [B, T, C]."""
        pixels = images.unsqueeze(1).float().div(255.0).expand(-1, self.channels, -1, -1)
        pixels = (pixels - self.mean) / self.std
        options = dict(self._options)
        if "noise" in options:  # of a masked autoencoder: its patches in their order, not a random one
            options["noise"] = torch.arange(options["noise"], device=pixels.device).expand(len(pixels), -1)
        features: Tensor = self.backbone(pixel_values=pixels, **options).last_hidden_state
        return features

    def forward(self, images: Tensor) -> Tensor:
        features = self._features(images)
        patches = features.flatten(2).transpose(1, 2) if features.dim() == 4 else features[:, self.extra :]
        return pooled(patches, self.max_patches)


def leaves_of(result: Tensor) -> set[int]:
    """The ids of all parameters that a result was computed from: the leaves of its graph."""
    found, seen, open_nodes = set(), set(), [result.grad_fn]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found |= {id(node.variable)} if hasattr(node, "variable") else set()
        open_nodes.extend(following for following, _ in node.next_functions)
    return found


def pooled(patches: Tensor, most: int) -> Tensor:
    """Square grids of patches [B, P, C], averaged down to the largest square grid of at most `most` of them."""
    side, wanted = isqrt(patches.shape[1]), isqrt(most)
    if patches.shape[1] <= most:
        return patches
    if side * side != patches.shape[1]:
        return F.adaptive_avg_pool1d(patches.transpose(1, 2), most).transpose(1, 2)
    grid = patches.transpose(1, 2).reshape(len(patches), -1, side, side)
    return F.adaptive_avg_pool2d(grid, wanted).flatten(2).transpose(1, 2)


def _vision_model(path: str, **options: Any) -> Any:
    """`from_pretrained` of the vision model: of CLIP and SigLIP without their text half, of a masked autoencoder
    without masks."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(path)
    config = getattr(config, "vision_config", config)
    if hasattr(config, "mask_ratio"):
        config.mask_ratio = 0.0
    return AutoModel.from_pretrained(path, config=config, **options)


def _forward_options(model: Any, side: int) -> dict[str, Any]:
    """Arguments of the model's forward pass: position embeddings are interpolated for films of another size than it
    was trained on."""
    known, facts = inspect.signature(model.forward).parameters, model.config
    own = getattr(facts, "image_size", side)
    options: dict[str, Any] = {}
    if "interpolate_pos_encoding" in known and own not in (side, (side, side), [side, side]):
        options["interpolate_pos_encoding"] = True
    if "noise" in known and getattr(facts, "mask_ratio", None) is not None:
        options["noise"] = (side // int(facts.patch_size)) ** 2
    return options


def _extra_tokens(features: Tensor, facts: Any, side: int) -> int:
    """How many of a film's tokens are no patches. Raises ValueError if neither the patch size nor a square number of
    tokens tells."""
    if features.dim() == 4:
        return 0
    if features.dim() != 3 or features.shape[0] != 1:
        raise ValueError(f"its features of a film have shape {list(features.shape)}, not [1, patches, features]")
    tokens, size = features.shape[1], getattr(facts, "patch_size", 0)
    patches = (side // size) ** 2 if isinstance(size, int) and size else 0
    if 0 < patches <= tokens <= patches + MAX_EXTRA:
        return int(tokens - patches)
    if isqrt(tokens) ** 2 == tokens:
        return 0
    raise ValueError(f"it gives {tokens} tokens, of which it is not known how many are patches")


def _normalisation(path: str, channels: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation [channels, 1, 1] of the checkpoint's image processor; 0.5 and 0.5 if it has none.

    Raises ConfigError if it has one that cannot be used.
    """
    from transformers import AutoImageProcessor

    mean, std = [0.5], [0.5]
    try:
        if not building_shapes():
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
