"""FedLoRA with the diagnosis branch and nothing else of FedMRG: this row shows what the prompts alone contribute."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmrg_core.algorithms.base import Client, register
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.errors import in_range
from fedmrg_core.models.report_model import Batch, ReportModel, VisionOutput
from fedmrg_core.types import LabelState


@register("fedlora-dx")
@dataclass(frozen=True)
class FedLoRADx(FedLoRA):
    """FedLoRA + D, Q and L_dx (diagnosis-driven prompts, PromptMRG, Jin et al., AAAI 2024).

    dx_weight: weight of the diagnosis cross-entropy; 0 leaves the head as the base has it. logit_prior: add log p_d to
    the positive logit in training (Menon et al., ICLR 2021), so that the head still finds rare conditions. Off by
    default: the argmax that prompts the decoder then says "positive" too often (leaderboards/LOG.md).
    contrastive_decoding: weight of the prompted against the blank prompt when reports are generated
    (`ReportModel.generate`); 1 = off: the prompt as it is, 0 = reports are generated without a prompt.
    """

    dx_weight: float = 4.0
    logit_prior: bool = False
    contrastive_decoding: float = 1.0

    diagnosis = True

    def __post_init__(self) -> None:
        super().__post_init__()
        in_range("algorithm.dx_weight", self.dx_weight, 0)
        in_range("algorithm.contrastive_decoding", self.contrastive_decoding, 0, 10)

    def prompt_weight(self) -> float:
        return self.contrastive_decoding

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        return self.path_loss(client, batch, ("generic",))

    def path_loss(self, client: Client, batch: Batch, adapters: tuple[str, ...]) -> Tensor:
        """Of the path through these adapters: next-token cross-entropy, and the diagnosis loss."""
        vision = client.model.encode(batch.images)
        prompts = self.prompts_of(client.model, vision, batch.states)
        reading = client.model.decode(batch, vision.prefix, prompts, adapters)
        return reading.loss + self.diagnosis_loss(client, vision, batch)

    def prompts_of(self, model: ReportModel, vision: VisionOutput, states: Tensor) -> Tensor | None:
        """The prompts of a training batch; None = it is read without."""
        return training_prompts(model, vision, states)

    def diagnosis_loss(self, client: Client, vision: VisionOutput, batch: Batch) -> Tensor:
        """dx_weight * L_dx; a scalar."""
        if self.dx_weight == 0:
            return torch.zeros((), device=vision.mean.device)
        assert vision.diagnosis is not None
        prior = client.label_prior if self.logit_prior else None
        loss = diagnosis_cross_entropy(vision.diagnosis, batch.states, prior)
        client.log("diagnosis", loss)
        return self.dx_weight * loss


def diagnosis_cross_entropy(logits: Tensor, states: Tensor, label_prior: Tensor | None) -> Tensor:
    """Cross-entropy over 4 states, mean over [B, 14], in float32; with a prior [14], log p_d is added to the positive
    logit."""
    logits = logits.float()
    if label_prior is not None:
        shift = torch.zeros(logits.shape[1:], dtype=logits.dtype, device=logits.device)
        shift[:, LabelState.POSITIVE] = label_prior.log()
        logits = logits + shift
    return F.cross_entropy(logits.flatten(0, 1), states.flatten())


def training_prompts(model: ReportModel, vision: VisionOutput, states: Tensor) -> Tensor:
    """Prompts from the label states; a share `prompt_from_head` of the samples is prompted by the head's argmax."""
    share = model.config.prompt_from_head
    if share > 0:
        assert vision.diagnosis is not None
        guessed = vision.diagnosis.detach().argmax(dim=-1)
        states = torch.where(torch.rand(states.shape[0], 1, device=states.device) < share, guessed, states)
    return model.prompts(states)
