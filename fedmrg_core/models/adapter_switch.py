"""Which adapters a forward pass uses, and which of them get a gradient from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn

from fedmrg_core.adapter_names import adapter_of
from fedmrg_core.errors import ConfigError

AdapterWeights = Mapping[str, float | Tensor]
"""Adapter -> its weight in a forward pass: 1.0 adds it as it was trained; a tensor [B] has one weight per study."""


class AdapterSwitch:
    """Chooses which adapters a forward pass uses, and which of them get a gradient from it.

    A parameter whose `requires_grad` is off during the forward pass is a constant of that pass's graph: this is how
    FedMRG's stop-gradient on the generic adapter is made. Afterwards it is switched on again, because a leaf that is
    off at `backward` gets no gradient from other passes either.
    """

    def __init__(self, lm: nn.Module) -> None:
        self._layers: list[Any] = [m for m in lm.modules() if hasattr(m, "base_layer") and hasattr(m, "set_adapter")]
        self._parameters: dict[str, list[nn.Parameter]] = {}
        self._current: tuple[Sequence[str] | AdapterWeights, Sequence[str]] = ((), ())
        for name, parameter in lm.named_parameters():
            if adapter := adapter_of(name):
                self._parameters.setdefault(adapter, []).append(parameter)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._parameters)

    def _activate(self, names: Sequence[str] | AdapterWeights) -> None:
        before = [(p, p.requires_grad) for parameters in self._parameters.values() for p in parameters]
        for layer in self._layers:
            layer.set_adapter(list(names))
        for parameter, trains in before:  # set_adapter freezes the others, and trains these: undo both
            parameter.requires_grad_(trains)

    @contextmanager
    def path(self, active: Sequence[str] | AdapterWeights, constant: Sequence[str] = ()) -> Iterator[None]:
        """Inside the block, `active` adapters add up (by their weights, if given) and `constant` ones get no gradient
        from it."""
        if not self._layers:
            yield
            return
        self._current = active, constant
        self._activate(active)
        constants = [p for name in constant for p in self._parameters[name] if p.requires_grad]
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
        if weights and not hasattr(self._layers[0], "lora_A"):
            raise ConfigError(f"adapters of this kind have no weight but 1 (asked for: {', '.join(weights)}).")
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
