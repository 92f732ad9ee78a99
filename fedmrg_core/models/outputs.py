"""What goes into the model, and what its parts give."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Training inputs. images uint8 [B, S, S]; tokens int64 [B, L] with end token; mask bool [B, L];
    states int64 [B, 14] (`LabelState`)."""

    images: Tensor
    tokens: Tensor
    mask: Tensor
    states: Tensor

    def part(self, start: int, stop: int) -> Batch:
        """Studies `start` to `stop` of the batch."""
        return Batch(self.images[start:stop], self.tokens[start:stop], self.mask[start:stop], self.states[start:stop])


@dataclass(frozen=True)
class VisionOutput:
    """Encoded films: patches [B, P, C]; their mean [B, C]; visual prefix [B, P, H]; diagnosis logits [B, 14, 4], or
    None without a diagnosis branch. All float."""

    patches: Tensor
    mean: Tensor
    prefix: Tensor
    diagnosis: Tensor | None


@dataclass(frozen=True)
class DecoderOutput:
    """One decoder pass over the reports: logits [B, L, V], last hidden states [B, L, H], and loss [], the mean
    cross-entropy over report tokens. All float."""

    logits: Tensor
    hidden: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Generation:
    """Generated reports, B of them; the diagnosis head's probabilities float32 [B, 14, 4] on the CPU, or None without a
    diagnosis branch; which reports `max_tokens` cut off."""

    reports: list[str]
    head: Tensor | None
    cut: list[bool] = field(default_factory=list)
