"""Encoders and language models by name: `encoder = "conv"`, `lm = "tiny"`.

Each is one file in `encoders/` or `language/`, which is imported because it is there. A name that is not registered is
a Hugging Face id or the folder of a checkpoint. See docs/adding-an-encoder.md and docs/adding-a-language-model.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.tokenizer import ReportTokenizer, tokenizer_of_base
from fedmrg_core.registration import import_files

CHECKPOINT = "<checkpoint>"
"""The registered name of what loads every name that is not registered."""

Kind = TypeVar("Kind")
BuildEncoder = TypeVar("BuildEncoder", bound="Callable[[ModelConfig], Encoder]")


class Encoder(nn.Module):
    """Grey films uint8 [B, S, S] -> patch features float [B, P, C].

    width: C. unused: names of parameters that do not matter for the features (a pooler's): they neither train nor
    travel. A subclass takes a ModelConfig and defines `forward`. It must have no state between calls: a batch's
    features may depend on that batch and the weights only.
    """

    width: int
    unused: frozenset[str] = frozenset()

    def __call__(self, images: Tensor) -> Tensor:
        features: Tensor = super().__call__(images)
        return features


class BuildLanguageModel(Protocol):
    """Builds a causal language model with the interface of Hugging Face transformers (`inputs_embeds`, `generate`)."""

    def __call__(self, config: ModelConfig, tokenizer: ReportTokenizer, /) -> Any: ...


@dataclass(frozen=True)
class LanguageModel:
    """How a registered language model is made.

    trained_here: True if its weights start at random: the warm-up trains them, and the base stores them together
    with a tokenizer trained on the public corpus. False if they come from a checkpoint: they never move.
    """

    build: BuildLanguageModel
    tokenizer: Callable[[ModelConfig, Path], ReportTokenizer]
    trained_here: bool


_encoders: dict[str, Callable[[ModelConfig], Encoder]] = {}
_language_models: dict[str, LanguageModel] = {}


def encoder(name: str) -> Callable[[BuildEncoder], BuildEncoder]:
    """Decorator of an Encoder class (or of a function that returns one): known as `encoder = name` from then on."""

    def add(build: BuildEncoder) -> BuildEncoder:
        _register(_encoders, "encoder", name, build)
        return build

    return add


def language_model(
    name: str,
    trained_here: bool = True,
    tokenizer: Callable[[ModelConfig, Path], ReportTokenizer] = tokenizer_of_base,
) -> Callable[[BuildLanguageModel], BuildLanguageModel]:
    """Decorator of a function that builds a language model: known as `lm = name` from then on.

    tokenizer: (config, folder of the base) -> the model's tokenizer. The default reads the one of the base, which is
    trained on the public corpus; a model with `trained_here=False` brings its own.
    """

    def add(build: BuildLanguageModel) -> BuildLanguageModel:
        _register(_language_models, "language model", name, LanguageModel(build, tokenizer, trained_here))
        return build

    return add


def build_encoder(config: ModelConfig) -> Encoder:
    """The encoder that `config.encoder` names. Raises ConfigError for a checkpoint that cannot be loaded."""
    return _find("encoders", _encoders, config.encoder)(config)


def get_language_model(name: str) -> LanguageModel:
    """The language model registered as `name`; for any other name the one that loads checkpoints."""
    return _find("language", _language_models, name)


def encoder_names() -> list[str]:
    """Registered names of encoders."""
    _find("encoders", _encoders, CHECKPOINT)
    return sorted(_encoders.keys() - {CHECKPOINT})


def is_checkpoint(encoder: str) -> bool:
    """Whether this value of `encoder` names a checkpoint, not a registered encoder."""
    return encoder not in encoder_names()


def language_model_names() -> list[str]:
    """Registered names of language models."""
    _find("language", _language_models, CHECKPOINT)
    return sorted(_language_models.keys() - {CHECKPOINT})


def _register(table: dict[str, Any], kind: str, name: str, entry: object) -> None:
    if name in table:
        raise ValueError(f"two {kind}s are registered as '{name}'")
    table[name] = entry


def _find(folder: str, table: dict[str, Kind], name: str) -> Kind:
    """The entry of a name, after every file of the folder has been imported."""
    import_files(f"fedmrg_core.models.{folder}")
    return table.get(name, table[CHECKPOINT])
