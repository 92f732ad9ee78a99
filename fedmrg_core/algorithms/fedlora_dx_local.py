"""FedLoRA-dx with an adapter that stays at each hospital: the fair control of two-adapter methods, whose adapters teach
each other."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedmrg_core.algorithms._own_adapter import GENERIC, SPECIALISED, OwnAdapter, stack
from fedmrg_core.algorithms.base import Client, register
from fedmrg_core.algorithms.fedlora_dx import training_prompts
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.report_model import Batch


@register("fedlora-dx-local")
@dataclass(frozen=True)
class FedLoRADxLocal(OwnAdapter):
    """W0 + g is fedlora-dx, bit by bit; W0 + g + s_k trains s_k alone, on the same batches, with the same prompts.

    The personal view generates with both adapters; hospitals that never took part get g alone. Everything but s_k is a
    constant of the local adapter's loss.

    choose_share, finetune_epochs: what each hospital does after the last round, as in `fedmrg`.
    """

    adapters = (GENERIC, SPECIALISED)
    cost = "a second pass of the decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tuning.adapts:
            raise ConfigError(f"tuning.kind = {self.tuning.kind} makes no adapters: fedlora-dx-local takes lora.")

    def weights_at(self, share: float) -> dict[str, float]:
        return stack(share)

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        model = client.model
        vision = model.encode(batch.images)
        prompts = training_prompts(model, vision, batch.states)
        loss = model.decode(batch, vision.prefix, prompts, (GENERIC,)).loss + self.diagnosis_loss(client, vision, batch)
        own = model.decode(batch, vision.prefix.detach(), prompts.detach(), self.adapters, constant=(GENERIC,)).loss
        client.log("local", own)
        return loss + own
