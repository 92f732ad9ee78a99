"""FedPer (Arivazhagan et al., 2019, arXiv 1912.00818): the lower layers are shared, the upper ones stay at home."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.algorithms.base import Algorithm, register


@register("fedper")
@dataclass(frozen=True)
class FedPer(Algorithm):
    """FedAvg of the body; each hospital trains its own head along with it.

    head: first letters of the names of the head's parameters, here the language model (with LoRA: its factors), so that
    encoder and connector are the body. A head that no parameter's name begins with leaves FedAvg, bit by bit.
    Hospitals that never took part get the body with the base's head.
    """

    head: tuple[str, ...] = ("lm.",)

    family = "personal parts"

    def is_shared(self, name: str) -> bool:
        return not name.startswith(self.head)
