"""Hugging Face checkpoints, safetensors only. One that cannot be loaded is a user's error, said in one line."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedmrg_core.errors import ConfigError, choose, first_line
from fedmrg_core.models.registry import encoder_names, language_model_names


def load_pretrained(setting: str, path: str, load: Callable[..., Any], **options: Any) -> Any:
    """`load(path, **options)`, a `from_pretrained`. Raises ConfigError that names the setting and the first reason."""
    try:
        return load(path, **options)
    except (OSError, ValueError) as error:
        names = encoder_names() if setting == "encoder" else language_model_names()
        raise ConfigError(
            f"{setting}={path} cannot be loaded: {first_line(error)} (give one of {', '.join(names)}, the folder of a "
            "checkpoint with model.safetensors, or a Hugging Face id where the hub can be reached)"
        ) from None


def check_checkpoints(encoder: str, lm: str) -> None:
    """Check both settings before anything is built: registered names pass, of checkpoints the configuration is read.

    Raises ConfigError for a misspelt name and for a checkpoint that cannot be loaded.
    """
    from transformers import AutoConfig

    for setting, name, names in (("encoder", encoder, encoder_names()), ("lm", lm, language_model_names())):
        if name in names:
            continue
        if difflib.get_close_matches(name, names, cutoff=0.75) and not Path(name).exists():
            choose(setting, name, names)  # a misspelling: without asking the hub, which can take half a minute
        load_pretrained(setting, name, AutoConfig.from_pretrained)
