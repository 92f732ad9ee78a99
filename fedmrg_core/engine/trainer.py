"""The only optimiser loop: a fresh optimiser, a stream of batches, one loss function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedmrg_core.adapter_names import is_adapter
from fedmrg_core.engine.device import release_memory
from fedmrg_core.errors import FedMRGError, choose, in_range
from fedmrg_core.models.report_model import Batch


@dataclass(frozen=True)
class TrainConfig:
    """How a client trains, and how many rounds there are.

    rounds: federated rounds. participation: share of seen clients in a round's cohort; 1 = all; at least one is chosen.
    local_epochs: passes over the own training part in a round; local_steps: steps instead, 0 = by epochs.
    batch_size: studies. optimizer: "adamw" or "sgd". lr: encoder, connector, head and full language models;
    adapter_lr: adapters and the prompt table. encoder_lr: the encoder, if it has a rate of its own; 0 = as above.
    schedule: "constant", or "cosine" over the rounds down to a tenth.
    weight_decay: AdamW's, 0 = none. clip_norm: largest gradient norm of each group (shared, personal), 0 = no bound.
    """

    rounds: int
    participation: float
    local_epochs: int
    local_steps: int
    batch_size: int
    optimizer: str
    lr: float
    adapter_lr: float
    schedule: str
    weight_decay: float
    clip_norm: float
    encoder_lr: float = 0.0

    def __post_init__(self) -> None:
        in_range("train.participation", self.participation, 0, 1, above=True)
        for name in ("batch_size", "local_epochs"):
            in_range(f"train.{name}", getattr(self, name), 1)
        for name in ("rounds", "local_steps", "lr", "adapter_lr", "encoder_lr", "weight_decay", "clip_norm"):
            in_range(f"train.{name}", getattr(self, name), 0)
        choose("train.optimizer", self.optimizer, ("adamw", "sgd"))
        choose("train.schedule", self.schedule, ("constant", "cosine"))

    def lr_of(self, name: str) -> float:
        """The learning rate of a parameter, before the schedule."""
        if self.encoder_lr and name.startswith("encoder."):
            return self.encoder_lr
        return self.adapter_lr if is_adapter(name) or name.startswith(("dx_prompts.", "soft_tokens.")) else self.lr

    def steps_of(self, studies: int, epochs: int | None = None, steps: int | None = None) -> int:
        """Optimiser steps of one fit on so many studies: `steps`, or `epochs` passes over them, or what the
        configuration says where neither is given; 0 without a study."""
        if epochs is not None and steps is not None:
            raise ValueError("fit takes epochs or steps, not both")
        if studies == 0:
            return 0
        if steps is not None:
            return steps
        if epochs is None and self.local_steps:
            return self.local_steps
        return (self.local_epochs if epochs is None else epochs) * -(-studies // self.batch_size)

    def scale(self, round_number: int) -> float:
        """The schedule's factor in a round (0-based); after the last round it stays where it ended."""
        if self.schedule == "constant" or self.rounds <= 1:
            return 1.0
        return 0.1 + 0.9 * 0.5 * (1 + cos(pi * min(round_number / (self.rounds - 1), 1.0)))


WINDOW = 8
"""Batches per window. Studies are sorted by report length within a window, so that a batch has little padding."""


def batches_of(rows: np.ndarray, lengths: np.ndarray, size: int, draw: np.random.Generator) -> list[np.ndarray]:
    """One epoch: `rows` shuffled, sorted by `lengths` (of the rows, in their order) within windows of 8 batches, cut
    into batches of `size`, and the batches shuffled. Every row is in exactly one batch."""
    order = draw.permutation(len(rows))
    window = WINDOW * size
    parts = [order[i : i + window] for i in range(0, len(order), window)]
    sorted_parts = [part[np.argsort(lengths[part], kind="stable")] for part in parts]
    batches = [rows[part[i : i + size]] for part in sorted_parts for i in range(0, len(part), size)]
    return [batches[i] for i in draw.permutation(len(batches))]


def batch_rows(
    rows: np.ndarray, lengths: np.ndarray, size: int, steps: int, draw: Callable[[int], np.random.Generator]
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield `steps` times (rows of a batch, whether it belongs to the last epoch); `draw(epoch)` gives that epoch's
    generator."""
    per_epoch = -(-len(rows) // size)
    first_of_last = max(0, steps - per_epoch)
    for step in range(steps):
        epoch, number = divmod(step, per_epoch)
        if number == 0:
            batches = batches_of(rows, lengths, size, draw(epoch))
        yield batches[number], step >= first_of_last


def parameter_groups(parameters: Mapping[str, nn.Parameter], config: TrainConfig, scale: float) -> list[dict[str, Any]]:
    """A group per learning rate: of adapters and prompts, of the encoder if it has one of its own, of all else."""
    rates: dict[float, list[nn.Parameter]] = {config.lr: [], config.adapter_lr: []}
    for name, parameter in parameters.items():
        rates.setdefault(config.lr_of(name), []).append(parameter)
    return [{"params": group, "lr": lr * scale} for lr, group in rates.items() if group]


def build_optimizer(groups: list[dict[str, Any]], optimizer: str, weight_decay: float) -> torch.optim.Optimizer:
    """A fresh "adamw" or plain "sgd" over groups that carry their own learning rates."""
    if optimizer == "sgd":
        return torch.optim.SGD(groups)
    return torch.optim.AdamW(groups, weight_decay=weight_decay)


class MicroBatcher:
    """How much of a batch goes through the model at once: all of it, until memory runs out. From then on it is halved,
    as often as needed, and the gradients of the parts add up (micro-batches).

    The loss of a part counts by its share of the batch's report tokens. Up to the order of a sum this is exact for
    means over report tokens (cross-entropy, boosting) and for terms that do not depend on the batch (a proximal term).
    It is approximate for means over studies (the diagnosis term: a study counts by its length). Terms that compare the
    studies of a batch change: an intra-batch contrast sees only the part.
    """

    def __init__(self, snapshot: Callable[[], Callable[[], None]] = lambda: lambda: None) -> None:
        """snapshot: called before each batch; returns an undo function for a retry after running out of memory."""
        self.size = 0
        self.share = 1.0
        self._snapshot = snapshot

    def gradients(self, batch: Batch, loss_fn: Callable[[Batch], Tensor], optimizer: torch.optim.Optimizer) -> Tensor:
        """Set the gradients of a batch's loss; returns the loss. Raises torch.OutOfMemoryError where not even one
        study fits."""
        undo = self._snapshot()
        while True:
            optimizer.zero_grad(set_to_none=True)
            try:
                return self._whole(batch, loss_fn) if not self.size else self._accumulated(batch, loss_fn)
            except torch.OutOfMemoryError:
                now = min(self.size or len(batch.images), len(batch.images))
                if now <= 1:
                    raise
            self.size = -(-now // 2)  # outside the handler, where the failed attempt's memory is free again
            undo()
            release_memory()

    def _whole(self, batch: Batch, loss_fn: Callable[[Batch], Tensor]) -> Tensor:
        try:
            loss = loss_fn(batch)
        except ValueError as error:
            if not str(error).startswith("Expected more than 1 "):  # torch's words, for every kind of normalisation
                raise
            raise FedMRGError(
                f"a batch of {len(batch.images)} on a feature map of 1 x 1 leaves the encoder's normalisation one value"
                " per channel: choose a train.batch_size that leaves no batch of one study, or a larger"
                " model.image_size"
            ) from None
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _accumulated(self, batch: Batch, loss_fn: Callable[[Batch], Tensor]) -> Tensor:
        tokens, total = float(batch.mask.sum()), torch.zeros((), device=batch.images.device)
        try:
            for start in range(0, len(batch.images), self.size):
                part = batch.part(start, start + self.size)
                self.share = float(part.mask.sum()) / tokens
                total = total + self._whole(part, lambda part: loss_fn(part) * self.share)
        finally:
            self.share = 1.0
        return total


def fit(
    batches: Iterable[Batch],
    loss_fn: Callable[[Batch], Tensor],
    optimizer: torch.optim.Optimizer,
    clip_groups: Iterable[list[nn.Parameter]],
    clip_norm: float,
    on_step: Callable[[int], None] | None = None,
    micro: MicroBatcher | None = None,
) -> tuple[int, float]:
    """Train on every batch once; returns (steps, mean loss). Raises FedMRGError at a loss that is not finite.

    Gradients are clipped per group: one norm over all would couple a personal adapter to the shared one.
    """
    clip_groups = [group for group in clip_groups if group]
    micro = micro or MicroBatcher()
    total: Tensor | float = 0.0
    steps = 0
    for batch in batches:
        total = total + micro.gradients(batch, loss_fn, optimizer)  # stays on its device: no step waits for a GPU
        for group in clip_groups if clip_norm > 0 else ():
            torch.nn.utils.clip_grad_norm_(group, clip_norm)
        optimizer.step()
        if on_step:
            on_step(steps)
        steps += 1
    if not isfinite(total):
        raise FedMRGError("the training loss is not finite: lower the learning rates (--set lr=.. adapter_lr=..)")
    return steps, float(total) / max(steps, 1)
