"""How the language model is tuned: in full, or by named low-rank adapters. The only file that imports peft."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fedmrg_core.errors import ConfigError, choose, in_range, not_empty
from fedmrg_core.seeding import derive_seed


@dataclass(frozen=True)
class Tuning:
    """FULL moves every weight of the language model; LoRA (Hu et al., ICLR 2022) adds (alpha / rank) B A to the
    target matrices and freezes the rest.

    rank: of B A, from 1; at the matrix's own rank LoRA can express a full update. alpha: scale; alpha = rank scales by
    1. targets: names of the adapted linear layers, inside the language model only.
    """

    kind: str = "full"
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")

    def __post_init__(self) -> None:
        choose("tuning.kind", self.kind, ("full", "lora"))
        in_range("tuning.rank", self.rank, 1)
        in_range("tuning.alpha", self.alpha, 0, above=True)
        not_empty("tuning.targets", self.targets)

    @property
    def lora(self) -> bool:
        return self.kind == "lora"


AdapterWeights = Mapping[str, float | Tensor]
"""Adapter -> its weight in a forward pass: 1.0 adds it as it was trained; a tensor [B] has one weight per study."""

FULL = Tuning("full")
LORA = Tuning("lora")


AUTO, ALL_LINEAR = "auto", "all-linear"
QUERY_VALUE = (
    ("q_proj", "v_proj"), ("query", "value"), ("q", "v"), ("wq", "wv"), ("q_lin", "v_lin"), ("query_key_value",),
    ("qkv_proj",), ("c_attn",), ("Wqkv",), ("qkv",), ("in_proj",),
)  # fmt: skip
"""Names of the query and value matrices of attention, or of the matrix that holds both: `auto` takes the first that a
model has."""


def add_adapter(lm: nn.Module, tuning: Tuning, name: str) -> None:
    """Add one named LoRA adapter to `lm` in place. Raises ConfigError if no layer has a target's name."""
    from peft import LoraConfig, inject_adapter_in_model

    ends = targets_of(lm, tuning.targets)
    config = LoraConfig(r=tuning.rank, lora_alpha=tuning.alpha, target_modules=list(ends), lora_dropout=0.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several adapters are intended
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # GPT-2's layers; peft adjusts
        inject_adapter_in_model(config, lm, name)


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


def switch_off_dropout(model: nn.Module) -> None:
    """Set the dropout of all parts of a frozen model to 0: layers of dropout, and the rates that attention reads."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def init_adapters(model: nn.Module, seed: int) -> None:
    """Draw every A from (seed, its name) and set every B to 0. The order of adding does not matter."""
    for name, parameter in model.named_parameters():
        if ".lora_A." in name:
            bound = 1.0 / math.sqrt(parameter.shape[1])  # kaiming_uniform(a=sqrt(5)), as peft does
            draw = torch.Generator().manual_seed(derive_seed(seed, "init", name))
            with torch.no_grad():
                parameter.copy_(torch.rand(parameter.shape, generator=draw) * 2 * bound - bound)
        elif ".lora_B." in name:
            nn.init.zeros_(parameter)


class AdapterSwitch:
    """Chooses which adapters a forward pass uses, and which of them get a gradient from it.

    A parameter whose `requires_grad` is off during the forward pass is a constant of that pass's graph: this is how
    FedMRG's stop-gradient on the generic adapter is made. Afterwards it is switched on again, because a leaf that is
    off at `backward` gets no gradient from other passes either.
    """

    def __init__(self, lm: nn.Module) -> None:
        self._layers: list[Any] = [m for m in lm.modules() if hasattr(m, "lora_A") and hasattr(m, "set_adapter")]
        self._trainable: dict[str, list[nn.Parameter]] = {}
        self._current: tuple[Sequence[str] | AdapterWeights, Sequence[str]] = ((), ())
        for name, parameter in lm.named_parameters():
            if ".lora_" in name:
                self._trainable.setdefault(name.rsplit(".", 2)[-2], []).append(parameter)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._trainable)

    def _activate(self, names: Sequence[str] | AdapterWeights) -> None:
        for layer in self._layers:
            layer.set_adapter(list(names))
        for parameters in self._trainable.values():  # set_adapter freezes the others: undo that
            for parameter in parameters:
                parameter.requires_grad_(True)

    @contextmanager
    def path(self, active: Sequence[str] | AdapterWeights, constant: Sequence[str] = ()) -> Iterator[None]:
        """Inside the block, `active` adapters add up (by their weights, if given) and `constant` ones get no gradient
        from it."""
        if not self._layers:
            yield
            return
        self._current = active, constant
        self._activate(active)
        constants = [parameter for name in constant for parameter in self._trainable[name]]
        for parameter in constants:
            parameter.requires_grad_(False)
        try:
            with self._scaled(active):
                yield
        finally:
            for parameter in constants:
                parameter.requires_grad_(True)

    @contextmanager
    def _scaled(self, active: Sequence[str] | AdapterWeights) -> Iterator[None]:
        """Inside the block, adapters count by their weights; a weight of 1.0 changes nothing, not even a bit."""
        given = active if isinstance(active, Mapping) else {}
        weights = {name: weight for name, weight in given.items() if isinstance(weight, Tensor) or weight != 1.0}
        of_layers = [(layer, name) for layer in self._layers for name in weights if name in layer.scaling]
        before = [(layer, name, layer.scaling[name]) for layer, name in of_layers]
        try:
            for layer, name, scale in before:
                weight = weights[name]
                layer.scaling[name] = scale * (weight.view(-1, 1, 1) if isinstance(weight, Tensor) else weight)
            yield
        finally:
            for layer, name, scale in before:
                layer.scaling[name] = scale

    def contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """For torch's gradient checkpointing: the contexts of a layer's forward pass and of its recomputation.

        By the time of the backward pass another path may be active, so the recomputation activates its own.
        """
        return nullcontext(), self.path(*self._current)
