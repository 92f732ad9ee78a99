"""For methods that change what becomes of LoRA's factors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, Client, ServerState, Update
from fedmrg_core.algorithms.fedlora import Product, mean_products
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.lora_ranks import A as A
from fedmrg_core.models.lora_ranks import B as B
from fedmrg_core.models.lora_ranks import slice_ranks
from fedmrg_core.models.tuning import LORA, Tuning
from fedmrg_core.types import Payload, State


@dataclass(frozen=True)
class FactorMethod(Algorithm):
    """Training is FedLoRA's: frozen language model, factors B and A, encoder, connector."""

    tuning: Tuning = LORA

    family = "LoRA"

    def __post_init__(self) -> None:
        if not self.tuning.lora:
            raise ConfigError(f"tuning.kind = {self.tuning.kind} has no factors B and A, which this method changes.")

    @property
    def scale(self) -> float:
        """s in W0 + s B A."""
        return self.tuning.alpha / self.tuning.rank

    def factors(self, server: ServerState, update: Update) -> dict[str, tuple[Tensor, Tensor]]:
        """A client's B [out, r_k] and A [r_k, in] after its training, float64, by the name of A."""
        rank, delta = self.rank_of(update.client_id), update.payload["delta"]
        found = {}
        for name in (name for name in server.params if A in name):
            both = (name.replace(A, B), name)
            b, a = slice_ranks({n: server.params[n].double() + delta[n].double() for n in both}, rank).values()
            found[name] = (b, a)
        return found

    def products(
        self, server: ServerState, updates: Iterable[Update]
    ) -> tuple[dict[str, Product], Iterator[Update]]:
        """`mean_products` of the clients' factors."""
        factors_of = lambda update: ((name, *pair) for name, pair in self.factors(server, update).items())  # noqa: E731
        return mean_products([name for name in server.params if A in name], updates, factors_of)


def train_without(client: Client, factor: str) -> Payload:
    """Local training in which one of A and B rests; it is not sent either."""
    client.fit(parts=lambda name: factor not in name)
    return {"delta": without(client.delta(), factor)}


def without(state: State, factor: str) -> State:
    """The state without all A, or all B."""
    return {name: tensor for name, tensor in state.items() if factor not in name}
