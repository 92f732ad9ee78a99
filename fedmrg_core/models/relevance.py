"""Where the encoder looked: how much each patch of a film contributed to a report, and to a finding."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor

from fedmrg_core.errors import ConfigError
from fedmrg_core.models.report_model import Adapters, Batch, ReportModel
from fedmrg_core.types import LabelState


def report_relevance(model: ReportModel, film: Tensor, report: str, adapters: Adapters, prompted: bool) -> Tensor:
    """Gradient times input: by how much each patch's features [C] raised the report's log-probability, the prompt held
    fixed (Shrikumar et al. 2016). film uint8 [S, S] -> float32 [g, g]; what lowered it counts as 0."""
    vision = model.encode(film[None])
    weights = adapters(vision) if callable(adapters) else adapters
    states = None if vision.diagnosis is None else vision.diagnosis.argmax(dim=-1)
    prompts = model.prompts(states).detach() if states is not None and prompted else None
    patches = vision.patches.detach().requires_grad_()
    tokens, mask = model.tokenizer.batch([report])
    batch = Batch(film[None], tokens, mask, torch.zeros(1, 14, dtype=torch.int64))
    with torch.enable_grad():
        loss = model.decode(batch, model.connector(patches), prompts, weights).loss
        (gradient,) = torch.autograd.grad(-loss, patches)
    return on_grid((gradient * patches.detach()).sum(dim=-1)[0].clamp(min=0), model.config.views)


@torch.no_grad()
def finding_relevance(model: ReportModel, film: Tensor) -> Tensor:
    """Class activation maps (Zhou et al. 2016): each patch's share of the positive minus the blank logit of the
    diagnosis head, which is linear in the mean patch. film uint8 [S, S] -> float32 [14, g, g], with signs."""
    patches = model.encode(film[None]).patches[0]
    rows = model.dx_head.weight.view(14, len(LabelState), -1)
    contrast = rows[:, LabelState.POSITIVE] - rows[:, LabelState.BLANK]
    return on_grid(contrast @ patches.T / len(patches), model.config.views)


def on_grid(values: Tensor, views: int = 1) -> Tensor:
    """Values of patches [.., views x P] as a square grid [.., g, g], summed over the views, which show the same film.
    Raises ConfigError where P is no square."""
    values = values.reshape(*values.shape[:-1], views, -1).sum(dim=-2)
    count = values.shape[-1]
    side = isqrt(count)
    if side * side != count:
        raise ConfigError(f"the encoder makes {count} patches, which are no square grid: it cannot be drawn.")
    return values.reshape(*values.shape[:-1], side, side)
