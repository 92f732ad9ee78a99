"""The files of a base, read with one clear line about a file that is damaged or belongs to another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from fedmrg_core.errors import DataError, first_line
from fedmrg_core.types import State

REBUILD = "delete its folder, and the next run builds the base again"


def read_tokenizer(file: Path) -> Any:
    """A `tokenizers.Tokenizer` from its JSON file. Raises DataError if it cannot be read."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers package raises nothing more specific
        raise DataError(f"is no tokenizer: {first_line(error)}; {REBUILD}", str(file)) from error


def read_weights(file: Path, model: nn.Module) -> State:
    """Tensors of a safetensors file, all of which `model` has in the same shape. Raises DataError otherwise."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: State = load_file(str(file))
    except (SafetensorError, OSError) as error:
        raise DataError(f"cannot be read: {first_line(error)}; {REBUILD}", str(file)) from error
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in state.items():
        if name not in own:
            raise DataError(f"has a tensor '{name}' that this model lacks; {REBUILD}", str(file))
        if tensor.shape != own[name].shape:
            shapes = f"{list(tensor.shape)} where this model has {list(own[name].shape)}"
            raise DataError(f"'{name}' has shape {shapes}; {REBUILD}", str(file))
    return state
