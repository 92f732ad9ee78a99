"""FedAvg with local fine-tuning (FedAvg-FT): after the last round each hospital trains the final model on its own data.

Cheng et al. (2021, arXiv 2108.07313) and Collins et al. (2022, arXiv 2205.13692) on why so plain a control is hard to
beat.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms._own_model import OWN, OwnModel
from fedmrg_core.algorithms.base import Client, register
from fedmrg_core.errors import in_range


@register("fedavg-ft")
@dataclass(frozen=True)
class FedAvgFT(OwnModel):
    """FedAvg whose personal view is fine-tuned.

    epochs: of the fine-tuning; 0 is FedAvg in every view. rate: its learning rates, as a share of the configured ones.
    Hospitals that never took part get the final model as it is, which is FedAvg's, bit by bit.
    """

    epochs: int = 3
    rate: float = 0.5

    finishes = True
    cost = "once, `epochs` epochs"

    def __post_init__(self) -> None:
        in_range("algorithm.epochs", self.epochs, 0)
        in_range("algorithm.rate", self.rate, 0, above=True)

    def client_finish(self, client: Client) -> None:
        client.fit(epochs=self.epochs, rate=self.rate)
        client.memory[OWN] = client.state()

    def client_adapt(self, client: Client, steps: int) -> None:
        client.fit(steps=steps)
        client.memory[OWN] = client.state()
