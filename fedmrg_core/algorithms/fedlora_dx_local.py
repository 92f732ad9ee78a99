"""FedLoRA-dx with an adapter that stays at each hospital: the fair control of two-adapter methods, whose adapters teach
each other."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedmrg_core.algorithms._own_share import GROUP as OWN_SHARE
from fedmrg_core.algorithms._own_share import choose_share, chosen_share, stack
from fedmrg_core.algorithms.base import Client, ClientState, register
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx, training_prompts
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.report_model import Batch

SHARED, LOCAL = "generic", "specialised"


@register("fedlora-dx-local")
@dataclass(frozen=True)
class FedLoRADxLocal(FedLoRADx):
    """W0 + g is fedlora-dx, bit by bit; W0 + g + s_k trains s_k alone, on the same batches, with the same prompts.

    The personal view generates with both adapters; hospitals that never took part get g alone. Everything but s_k is a
    constant of the local adapter's loss.

    choose_share: after the last round each hospital chooses on its validation part how much s_k counts in generation;
    false = in full.
    """

    choose_share: bool = True

    family = "two adapters"
    adapters = (SHARED, LOCAL)
    keeps = (OWN_SHARE,)
    cost = "a second pass of the decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tuning.adapts:
            raise ConfigError(f"tuning.kind = {self.tuning.kind} makes no adapters: fedlora-dx-local takes lora.")

    def is_shared(self, name: str) -> bool:
        return f".{LOCAL}." not in name

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        return {SHARED: 1.0} if client is None else self.weights_at(chosen_share(client))

    @staticmethod
    def weights_at(share: float) -> dict[str, float]:
        """The adapters' weights where s_k counts by `share`."""
        return stack(SHARED, LOCAL, share)

    @property
    def finishes(self) -> bool:
        return self.choose_share

    def client_finish(self, client: Client) -> None:
        choose_share(client, self.weights_at, self.tuning.lora)

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        model = client.model
        vision = model.encode(batch.images)
        prompts = training_prompts(model, vision, batch.states)
        loss = model.decode(batch, vision.prefix, prompts, (SHARED,)).loss + self.diagnosis_loss(client, vision, batch)
        own = model.decode(batch, vision.prefix.detach(), prompts.detach(), self.adapters, constant=(SHARED,)).loss
        client.log("local", own)
        return loss + own
