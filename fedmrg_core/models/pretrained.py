"""Hugging Face checkpoints, safetensors only. One that cannot be loaded is a user's error, said in one line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch

from fedmrg_core.errors import ConfigError, first_line
from fedmrg_core.models.packaged import checkpoint_path
from fedmrg_core.models.registry import encoder_names, language_model_names
from fedmrg_core.models.rounded import WHOLE, loading_options
from fedmrg_core.models.shapes import build_shape, building_shapes, known_config


def load_pretrained(setting: str, path: str, load: Callable[..., Any], **options: Any) -> Any:
    """`load(path, **options)`, a `from_pretrained`; path may name a fetched model (`packaged.py`).

    Raises ConfigError that names the setting and the first reason.
    """
    try:
        with _quiet():
            return load(checkpoint_path(path), **options)
    except ConfigError:
        raise
    except Exception as error:  # the package raises errors of many types
        mismatch = "ignore_mismatched_sizes" in str(error)
        reason = "its weights have other shapes than its config.json says" if mismatch else first_line(error)
        raise refusal(setting, path, reason) from error


_without_weights: ContextVar[bool] = ContextVar("without_weights", default=False)


@contextmanager
def without_weights() -> Iterator[None]:
    """Inside the block language models are loaded onto the meta device: names and shapes, compared with those of the
    checkpoint, but no values. It takes seconds, whatever their size."""
    token = _without_weights.set(True)
    try:
        yield
    finally:
        _without_weights.reset(token)


def load_weights(setting: str, path: str, load: Callable[..., Any], bits: int = WHOLE) -> tuple[Any, set[str]]:
    """A model in float32, from safetensors only, and the names of its parameters that the checkpoint lacks. bits: of
    the weights of its linear layers."""
    if building_shapes():
        return build_shape(setting, config_of(setting, path)), set()
    options: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    options |= {"device_map": "meta"} if setting == "lm" and _without_weights.get() else loading_options(bits)
    model, info = load_pretrained(setting, path, load, **options)
    return model, set(info["missing_keys"])


def config_of(setting: str, path: str) -> Any:
    """A checkpoint's configuration: of a known name without looking, else its `config.json`."""
    from transformers import AutoConfig

    return known_config(path) or load_pretrained(setting, path, AutoConfig.from_pretrained)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars, which last seconds, and its report of weights that were left out."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def refusal(setting: str, path: str, reason: str) -> ConfigError:
    """The error for a checkpoint that cannot be used, with what may be given instead."""
    names = encoder_names() if setting == "encoder" else language_model_names()
    return ConfigError(
        f"{setting}={path} cannot be loaded: {reason} (give one of {', '.join(names)}, the folder of a checkpoint with "
        "model.safetensors, or a Hugging Face id where the hub can be reached)"
    )


def check_checkpoints(encoder: str, lm: str) -> None:
    """Check both settings before anything is built: registered names pass. Of a checkpoint the configuration is read,
    and in a folder every JSON file and the header of every safetensors file.

    Raises ConfigError for a misspelt name and for a checkpoint that cannot be loaded.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    for setting, name, names in (("encoder", encoder, encoder_names()), ("lm", lm, language_model_names())):
        if name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
        if near and not Path(name).exists():  # without asking the hub, which can take half a minute
            raise refusal(setting, name, f"it is no registered name. Did you mean '{near[0]}'?")
        _check_files(setting, Path(checkpoint_path(name)))
        facts = load_pretrained(setting, name, AutoConfig.from_pretrained)
        if setting == "lm" and type(facts) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise refusal(setting, name, f"a model of type {facts.model_type} is no causal language model")


def _check_files(setting: str, folder: Path) -> None:
    """Raises ConfigError that names the first damaged file of a checkpoint's folder."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.json")) + sorted(folder.glob("*.safetensors")):
        try:
            if file.suffix == ".json":
                json.loads(file.read_bytes())
            else:
                safe_open(str(file), "pt")
        except Exception as error:  # safetensors has an error type of its own
            raise refusal(setting, str(folder), f"{file.name} is damaged: {first_line(error)}") from error
