"""Which layers of a model its adapters change, by architecture or by name."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from fedmrg_core.errors import ConfigError

AUTO, ALL_LINEAR = "auto", "all-linear"
QUERY_VALUE = (
    ("q_proj", "v_proj"), ("query", "value"), ("q", "v"), ("wq", "wv"), ("q_lin", "v_lin"), ("query_key_value",),
    ("qkv_proj",), ("c_attn",), ("Wqkv",), ("qkv",), ("in_proj",),
)  # fmt: skip
"""Names of the query and value matrices of attention, or of the matrix that holds both: `auto` takes the first that a
model has."""


def targets_of(model: nn.Module, targets: Sequence[str]) -> tuple[str, ...]:
    """Names of the layers that LoRA adapts: `auto` = the query and value matrices of attention, `all-linear` = every
    linear layer but the output layer, anything else = these names. Raises ConfigError if the model lacks one."""
    layers = linear_layers(model)
    known = f"Linear layers: {', '.join(layers)}."
    if ALL_LINEAR in targets:
        return layers
    if AUTO in targets:
        found = next((names for names in QUERY_VALUE if set(names) <= set(layers)), None)
        if found is None:
            raise ConfigError(f"tuning.targets = auto knows no query and value layers of this model. {known}")
        return found
    for target in targets:
        if target not in layers:
            raise ConfigError(f"LoRA target '{target}' is no layer of this model. {known}")
    return tuple(targets)


def linear_layers(model: nn.Module) -> tuple[str, ...]:
    """Last names of all linear layers (GPT-2's Conv1D is one), without adapters and the output layer."""
    from transformers.pytorch_utils import Conv1D

    output = getattr(model, "get_output_embeddings", lambda: None)()
    layers = {
        path.removesuffix(".base_layer").rsplit(".", 1)[-1]
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not output and ".lora_" not in path
    }
    return tuple(sorted(layers))
