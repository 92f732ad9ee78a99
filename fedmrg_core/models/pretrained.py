"""Hugging Face checkpoints, safetensors only; what cannot be loaded is the user's one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedmrg_core.errors import ConfigError


def load_pretrained(setting: str, path: str, load: Callable[..., Any], **options: Any) -> Any:
    """`load(path, **options)`, a `from_pretrained`. Raises ConfigError that names the setting and the first reason."""
    try:
        return load(path, **options)
    except (OSError, ValueError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigError(
            f"{setting}={path} cannot be loaded: {reason} (give the folder of a checkpoint with model.safetensors, or "
            "a Hugging Face id where the hub can be reached)"
        ) from None


def check_checkpoints(encoder: str, lm: str) -> None:
    """Read the configurations of those that are checkpoints, before anything is built on them. Raises ConfigError."""
    from transformers import AutoConfig

    for setting, path, own in (("encoder", encoder, "conv"), ("lm", lm, "tiny")):
        if path != own:
            load_pretrained(setting, path, AutoConfig.from_pretrained)
