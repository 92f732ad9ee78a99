"""FedMRG (Che, Jin et al., IEEE TMI 2025, arXiv 2506.17562): low-rank communication, client-aware contrast with
diagnosis-driven prompts, dual-adapter mutual boosting.

The equations are this project's formalisation of the abstract's parts (docs/fedmrg.md), not the paper's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmrg_core.algorithms.base import Client, ClientState, ServerState, Update, register
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx, training_prompts
from fedmrg_core.errors import ConfigError, in_range
from fedmrg_core.models.report_model import Batch, DecoderOutput, ReportModel, VisionOutput
from fedmrg_core.types import LabelState, Payload, State

GENERIC, SPECIALISED = "generic", "specialised"


@register("fedmrg")
@dataclass(frozen=True)
class FedMRG(FedLoRADx):
    """All parts are on by default. Each is one flag, and a term that is off is not computed.

    prompts: diagnosis prompts in the decoder's input, in training and in generation (the head and L_dx stay).
    specialised: the adapter s_k that never leaves the hospital. kd_l2g, kd_g2l: weights of boosting from the
    specialised to the generic path and back; 0 = off. temperature: of the boosting's soft targets; large values flatten
    them. lambda_intra, lambda_inter: weights of the two contrasts; 0 = off. tau: their temperature. prototype_decay:
    EMA of a client's prototype on the server; 0 uses only the newest mean.
    """

    prompts: bool = True
    specialised: bool = True
    kd_l2g: float = 0.5
    kd_g2l: float = 0.5
    temperature: float = 2.0
    lambda_intra: float = 0.5
    lambda_inter: float = 0.5
    tau: float = 0.07
    prototype_decay: float = 0.9

    family = "two adapters"
    cost = "a second pass of the decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kd_l2g", "kd_g2l", "lambda_intra", "lambda_inter"):
            in_range(f"algorithm.{name}", getattr(self, name), 0)
        for name in ("temperature", "tau"):
            in_range(f"algorithm.{name}", getattr(self, name), 0, above=True)
        in_range("algorithm.prototype_decay", self.prototype_decay, 0, 1)
        if self.specialised and not self.tuning.lora:
            raise ConfigError("tuning.kind = full makes no adapters: fedmrg takes lora, or specialised=false.")

    def configure_model(self, model: ReportModel, seed: int) -> None:
        adapters = (GENERIC, SPECIALISED) if self.specialised else (GENERIC,)
        model.tune(self.tuning, adapters, self.diagnosis, seed)

    def is_shared(self, name: str) -> bool:
        return f".{SPECIALISED}." not in name

    def adapter_weights(self, client: ClientState | None) -> dict[str, float]:
        both = client is not None and self.specialised
        return {GENERIC: 1.0, SPECIALISED: 1.0} if both else {GENERIC: 1.0}

    def prompt_guidance(self) -> float:
        return self.guidance if self.prompts else 0.0

    # ---- server

    def broadcast(self, server: ServerState, client_id: str) -> Payload:
        payload = super().broadcast(server, client_id)
        prototypes = server.memory.get("prototypes")
        return {**payload, "prototypes": prototypes} if prototypes else payload

    def upload_layout(self, server: ServerState) -> Payload:
        layout = super().upload_layout(server)
        if self.lambda_inter > 0:
            width = server.params["connector.weight"].shape[1]
            layout = {**layout, "prototype": {"mean": torch.zeros(width)}}
        return layout

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        prototypes = dict(server.memory.get("prototypes", {}))

        def watch(update: Update) -> Update:
            if "prototype" in update.payload:
                fresh = update.payload["prototype"]["mean"]
                prototypes[update.client_id] = self.blend(prototypes.get(update.client_id), fresh)
            return update

        server = super().aggregate(server, map(watch, updates), rng)
        return replace(server, memory={**server.memory, "prototypes": prototypes} if prototypes else server.memory)

    def blend(self, old: Tensor | None, mean: Tensor) -> Tensor:
        """mu_k: the first mean, then an EMA, always of length 1."""
        if old is not None:
            mean = self.prototype_decay * old + (1 - self.prototype_decay) * F.normalize(mean, dim=0)
        return F.normalize(mean, dim=0)

    # ---- client

    def client_round(self, client: Client) -> Payload:
        payload = super().client_round(client)
        if self.lambda_inter > 0:
            mean = client.scratch["z_sum"] / client.scratch["z_count"]
            payload["prototype"] = {"mean": mean.cpu()}
        return payload

    def local_loss(self, client: Client, batch: Batch) -> Tensor:
        model = client.model
        vision = model.encode(batch.images)
        prompts = training_prompts(model, vision, batch.states) if self.prompts else None
        generic = model.decode(batch, vision.prefix, prompts, (GENERIC,))
        loss = generic.loss + self.diagnosis_loss(client, vision, batch) + self.contrast(client, vision, batch)
        if not self.specialised:
            return loss
        constant = None if prompts is None else prompts.detach()
        special = model.decode(batch, vision.prefix.detach(), constant, (GENERIC, SPECIALISED), constant=(GENERIC,))
        client.log("specialised", special.loss)
        loss = loss + special.loss
        if self.kd_l2g > 0:
            loss = loss + self.kd_l2g * self.boost(client, "l2g", special, generic, batch.mask)
        if self.kd_g2l > 0:
            loss = loss + self.kd_g2l * self.boost(client, "g2l", generic, special, batch.mask)
        return loss

    def boost(self, client: Client, name: str, teacher: DecoderOutput, student: DecoderOutput, mask: Tensor) -> Tensor:
        """T^2 KL(sg p_teacher || p_student) + |c_s/|c_s| - sg c_t/|c_t||^2, mean over report tokens, float32."""
        loss = boosting_loss(teacher, student, mask, self.temperature)
        client.log(name, loss)
        return loss

    def contrast(self, client: Client, vision: VisionOutput, batch: Batch) -> Tensor:
        """L_cl = lambda_intra L_intra + lambda_inter L_inter on z, the normalised mean patch feature."""
        loss = torch.zeros((), device=vision.mean.device)
        if self.lambda_inter <= 0 and self.lambda_intra <= 0:
            return loss
        z = F.normalize(vision.mean.float(), dim=-1)
        with torch.autocast(z.device.type, enabled=False):  # bf16 has too few digits for tau = 0.07
            if self.lambda_inter > 0:
                self._add_to_prototype(client, z.detach())
                inter = inter_contrast(z, client.received.get("prototypes", {}), client.client_id, self.tau)
                client.log("inter", inter)
                loss = loss + self.lambda_inter * inter
            if self.lambda_intra > 0:
                intra = intra_contrast(z, batch.states == LabelState.POSITIVE, self.tau)
                client.log("intra", intra)
                loss = loss + self.lambda_intra * intra
        return loss

    @staticmethod
    def _add_to_prototype(client: Client, z: Tensor) -> None:
        """Sum z over the last local epoch: its mean becomes this client's prototype."""
        if client.last_epoch:
            zero = torch.zeros(z.shape[1], device=z.device)
            client.scratch["z_sum"] = client.scratch.get("z_sum", zero) + z.sum(dim=0)
            client.scratch["z_count"] = client.scratch.get("z_count", torch.zeros((), device=z.device)) + z.shape[0]


def boosting_loss(teacher: DecoderOutput, student: DecoderOutput, mask: Tensor, temperature: float) -> Tensor:
    """The boosting term of one direction, mean over the tokens where `mask` [B, L] holds; the teacher is a constant."""
    p = F.log_softmax(teacher.logits.detach()[mask].float() / temperature, dim=-1)
    q = F.log_softmax(student.logits[mask].float() / temperature, dim=-1)
    divergence = F.kl_div(q, p, reduction="batchmean", log_target=True) * temperature**2
    c_teacher = F.normalize(teacher.hidden.detach()[mask].float(), dim=-1)
    c_student = F.normalize(student.hidden[mask].float(), dim=-1)
    return divergence + (c_student - c_teacher).square().sum(dim=-1).mean()


def inter_contrast(z: Tensor, prototypes: State, own: str, tau: float) -> Tensor:
    """-log softmax of z.mu_own/tau over the clients that have a prototype, mean over z [B, C]; 0 with fewer than two
    prototypes, or while this client has none."""
    names = sorted(prototypes)
    if len(names) < 2 or own not in names:
        return torch.zeros((), device=z.device)
    scores = z @ torch.stack([prototypes[name] for name in names]).to(z).T / tau
    target = torch.full((z.shape[0],), names.index(own), device=z.device)
    return F.cross_entropy(scores, target)


def intra_contrast(z: Tensor, positive: Tensor, tau: float) -> Tensor:
    """Supervised contrast within a batch: z [B, C], positive [B, 14] bool. Pairs weigh the Jaccard overlap of their
    positive sets (No Finding is a member); anchors without a weighted partner are skipped."""
    p = positive.float()
    shared = p @ p.T
    union = p.sum(1)[:, None] + p.sum(1)[None, :] - shared
    weight = (shared / union.clamp_min(1)).fill_diagonal_(0)
    mass = weight.sum(dim=1)
    anchors = mass > 0
    if not bool(anchors.any()):
        return torch.zeros((), device=z.device)
    scores = (z @ z.T / tau).masked_fill(torch.eye(z.shape[0], dtype=torch.bool, device=z.device), float("-inf"))
    log_p = F.log_softmax(scores, dim=1).masked_fill(torch.eye(z.shape[0], dtype=torch.bool, device=z.device), 0.0)
    return -((weight * log_p).sum(dim=1)[anchors] / mass[anchors]).mean()
