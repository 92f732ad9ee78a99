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

from fedmrg_core.algorithms._own_adapter import GENERIC, SPECIALISED, OwnAdapter, blend, stack
from fedmrg_core.algorithms.base import Client, ServerState, Update, register
from fedmrg_core.errors import ConfigError, choose, in_range
from fedmrg_core.models.report_model import Batch, DecoderOutput, ReportModel, VisionOutput
from fedmrg_core.types import LabelState, Payload, State


@register("fedmrg")
@dataclass(frozen=True)
class FedMRG(OwnAdapter):
    """All parts are on by default. Each is one flag, and a term that is off is not computed.

    prompts: diagnosis prompts in the decoder's input, in training and in generation (the head and L_dx stay).
    specialised: the adapter s_k that never leaves the hospital. form: what the specialised path adds to the frozen
    weights: "parallel" (s_k alone) or "stacked" (the generic adapter and s_k). choose_share: after the last round each
    hospital chooses on its validation part how much s_k counts in generation; false = the specialised path alone.
    finetune_epochs: so many epochs each hospital then trains encoder, connector, diagnosis head and prompts on its own
    studies, at the configured rates, and takes the state (after one of them, or before) whose validation reports are
    likeliest; 0 = off.
    kd_l2g, kd_g2l: weights of boosting from the specialised to the generic path and back; 0 = off. gate: which tokens
    teach: "soft" (each counts by how much more the teacher gives the true word), "hard" (those to which it gives more),
    "none" (all alike). temperature: of the boosting's soft targets; large values flatten them. alignment: weight of the
    distance of the paths' hidden states within the boosting. lambda_intra, lambda_inter: weights of the two contrasts;
    0 = off. tau: their temperature. prototype_decay: EMA of a client's prototype on the server; 0 uses only the newest
    mean.
    """

    prompts: bool = True
    specialised: bool = True
    form: str = "parallel"
    kd_l2g: float = 0.5
    kd_g2l: float = 0.5
    gate: str = "soft"
    temperature: float = 2.0
    alignment: float = 0.0
    lambda_intra: float = 0.5
    lambda_inter: float = 0.5
    tau: float = 0.07
    prototype_decay: float = 0.9

    cost = "a second pass of the decoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("algorithm.form", self.form, ("parallel", "stacked"))
        choose("algorithm.gate", self.gate, GATES)
        for name in ("kd_l2g", "kd_g2l", "alignment", "lambda_intra", "lambda_inter"):
            in_range(f"algorithm.{name}", getattr(self, name), 0)
        for name in ("temperature", "tau"):
            in_range(f"algorithm.{name}", getattr(self, name), 0, above=True)
        in_range("algorithm.prototype_decay", self.prototype_decay, 0, 1)
        if self.specialised and not self.tuning.adapts:
            kind = self.tuning.kind
            raise ConfigError(f"tuning.kind = {kind} makes no adapters: fedmrg takes lora, or specialised=false.")

    def configure_model(self, model: ReportModel, seed: int) -> None:
        adapters = (GENERIC, SPECIALISED) if self.specialised else (GENERIC,)
        model.tune(self.tuning, adapters, self.diagnosis, seed)

    def shares(self) -> tuple[float, ...]:
        return super().shares() if self.specialised else super().shares()[:1]

    def weights_at(self, share: float) -> dict[str, float]:
        if not self.specialised:
            return {GENERIC: 1.0}
        return blend(share) if self.form == "parallel" else stack(share)

    def prompts_of(self, model: ReportModel, vision: VisionOutput, states: Tensor) -> Tensor | None:
        return super().prompts_of(model, vision, states) if self.prompts else None

    def prompt_weight(self) -> float:
        return self.contrastive_decoding if self.prompts else 0.0

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
        prompts = self.prompts_of(model, vision, batch.states)
        generic = model.decode(batch, vision.prefix, prompts, (GENERIC,))
        loss = generic.loss + self.diagnosis_loss(client, vision, batch) + self.contrast(client, vision, batch)
        if not self.specialised:
            return loss
        constant = None if prompts is None else prompts.detach()
        path = tuple(self.weights_at(1.0))
        special = model.decode(batch, vision.prefix.detach(), constant, path, constant=(GENERIC,))
        client.log("specialised", special.loss)
        return loss + special.loss + self.boosting(client, generic, special, batch)

    def boosting(self, client: Client, generic: DecoderOutput, special: DecoderOutput, batch: Batch) -> Tensor:
        """Mutual boosting: kd_l2g times what the generic path learns from the specialised one, and back."""
        loss = torch.zeros((), device=generic.loss.device)
        if self.kd_l2g <= 0 and self.kd_g2l <= 0:
            return loss
        paths = [BoostedPath.of(output, batch, self.temperature) for output in (generic, special)]
        for name, weight, (student, teacher) in (("l2g", self.kd_l2g, paths), ("g2l", self.kd_g2l, paths[::-1])):
            if weight > 0:
                boost = boosting_loss(teacher, student, self.temperature, self.gate, self.alignment)
                client.log(name, boost)
                loss = loss + weight * boost
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


GATES = ("soft", "hard", "none")
GATE_SHARPNESS = 2.0


@dataclass(frozen=True)
class BoostedPath:
    """One path of the decoder at the N report tokens of a batch, in float32.

    soft: log-probabilities [N, V] at the boosting's temperature. truth: log-probability [N] of the true word, a
    constant. hidden: last hidden states [N, H].
    """

    soft: Tensor
    truth: Tensor
    hidden: Tensor

    @staticmethod
    def of(output: DecoderOutput, batch: Batch, temperature: float) -> BoostedPath:
        """The path of a decoder's pass over a batch."""
        logits = output.logits[batch.mask].float()
        constant = logits.detach()
        truth = constant.gather(1, batch.tokens[batch.mask][:, None])[:, 0] - constant.logsumexp(dim=1)
        return BoostedPath(F.log_softmax(logits / temperature, dim=1), truth, output.hidden[batch.mask])


def boosting_loss(
    teacher: BoostedPath, student: BoostedPath, temperature: float, gate: str = "none", alignment: float = 0.0
) -> Tensor:
    """Mean over tokens of gate x T^2 KL(sg p_teacher || p_student) + alignment x |c_s/|c_s| - sg c_t/|c_t||^2.

    The soft gate is sigmoid(2 (log p_teacher - log p_student)) of the true word, a constant: a teacher that knows less
    than its student hardly teaches (conditional teacher-student learning, Meng et al., ICASSP 2019, arXiv 1904.12399).
    """
    target = teacher.soft.detach()
    divergence = (target.exp() * (target - student.soft)).sum(dim=1) * temperature**2
    ahead = teacher.truth - student.truth
    if gate != "none":
        divergence = divergence * (torch.sigmoid(GATE_SHARPNESS * ahead) if gate == "soft" else (ahead > 0).float())
    if alignment <= 0:
        return divergence.mean()
    c_teacher = F.normalize(teacher.hidden.detach().float(), dim=-1)
    c_student = F.normalize(student.hidden.float(), dim=-1)
    return (divergence + alignment * (c_student - c_teacher).square().sum(dim=1)).mean()


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
