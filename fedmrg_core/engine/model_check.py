"""What is run before anything long: one step of one study without the language model's weights, so that models that
cannot work together are refused in seconds; and an estimate of the warm-up's time.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fedlora_dx import diagnosis_cross_entropy
from fedmrg_core.engine.trainer import build_optimizer, fit
from fedmrg_core.errors import ConfigError, first_line
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import without_weights
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.models.tokenizer import ReportTokenizer
from fedmrg_core.models.tuning import FULL
from fedmrg_core.paths import ROOT
from fedmrg_core.types import CONDITIONS

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """Numbers of values of a model: parameters; those that training moves; those that a client sends (running
    statistics included)."""

    parameters: int
    moving: int
    sent: int

    def __str__(self) -> str:
        sent = f"{self.sent / 1e6:,.2f} M ({self.sent * 4 / 1e6:,.1f} MB) travel per client and direction"
        return f"{self.parameters / 1e6:,.1f} M parameters, {self.moving / 1e6:,.2f} M train, {sent}"


def check_model(config: ModelConfig, algorithm: Algorithm, seed: int = 0) -> Sizes:
    """Build the model as the algorithm configures it, without the values of a pretrained language model, and take the
    gradients of one study through every adapter. Raises ConfigError if that cannot work."""
    with without_weights():
        model = ReportModel(config, _tokenizer(config))
        algorithm.configure_model(model, seed)
    model.to("meta")
    try:
        trial_step(model, tokens=4)
    except (RuntimeError, ValueError, NotImplementedError, TypeError, IndexError) as error:
        if "meta" not in str(error):
            raise ConfigError(f"lm={config.lm} cannot read a report after a film: {first_line(error)}") from error
        _log.info("no trial step without weights: %s", first_line(error))  # some code looks at values
    moving = {**model.trainable(), **model.buffers_of_state()}
    sent = algorithm.shared_names(model, moving)
    return Sizes(
        sum(parameter.numel() for parameter in model.parameters()),
        sum(tensor.numel() for tensor in model.trainable().values()),
        sum(moving[name].numel() for name in sent),
    )


def trial_step(model: ReportModel, tokens: int) -> None:
    """The gradients of one study through every adapter; the model has no values (it is on the meta device)."""
    hook = model.lm.register_forward_pre_hook(_with_mask, with_kwargs=True)
    batch = _batch(model, studies=1, tokens=tokens, device="meta")
    vision = model.train().encode(batch.images)
    prompts = model.prompts(batch.states) if model.diagnosis else None
    paths: list[tuple[str, ...]] = [(name,) for name in model.adapters.names] or [()]
    loss = torch.stack([model.decode(batch, vision.prefix, prompts, path).loss for path in paths]).sum()
    parameters = list(model.trainable().values())
    torch.autograd.grad(loss, parameters, allow_unused=True)
    hook.remove()


def _with_mask(lm: Any, args: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A ready mask and positions: to make its own, the model would look at values."""
    batch, length = options["inputs_embeds"].shape[:2]
    mask = torch.zeros(batch, 1, length, length, device="meta")
    positions = torch.arange(length, device="meta").expand(batch, -1)
    return args, {**options, "attention_mask": mask, "position_ids": positions}


def _batch(model: ReportModel, studies: int, tokens: int, device: str) -> Batch:
    side = model.config.image_size
    images = torch.zeros(studies, side, side, dtype=torch.uint8, device=device)
    words = torch.full((studies, tokens), model.tokenizer.end, device=device)
    states = torch.zeros(studies, len(CONDITIONS), dtype=torch.int64, device=device)
    return Batch(images, words, torch.ones(studies, tokens, dtype=torch.bool, device=device), states)


class AnyWords(ReportTokenizer):
    """Stands for a tokenizer before there is one: every word is a token. words: size of its vocabulary."""

    def __init__(self, config: ModelConfig, words: int) -> None:
        super().__init__(None, 0, 1, config.max_tokens)
        self._size = words

    @property
    def vocab_size(self) -> int:
        return self._size

    def encode(self, text: str) -> list[int]:
        return [2] * len(text.split())


def _tokenizer(config: ModelConfig) -> ReportTokenizer:
    lm = get_language_model(config.lm)
    return AnyWords(config, config.vocab_size) if lm.trained_here else lm.tokenizer(config, ROOT)


TRIAL_TOKENS = 40
"""Length of the reports by which the warm-up's time is estimated."""


def warm_up_seconds(config: ModelConfig) -> float:
    """About how long the warm-up takes here: one step of each of its phases, times their number."""
    model = ReportModel(config, _tokenizer(config))
    model.tune(FULL, (), diagnosis=True, seed=0)
    batch = _batch(model.train(), config.warmup_batch, min(TRIAL_TOKENS, config.max_tokens), "cpu")

    def diagnosing(batch: Batch) -> Tensor:
        return diagnosis_cross_entropy(model.diagnose(model.encoder(batch.images).mean(dim=1)), batch.states, None)

    def reading(batch: Batch) -> Tensor:
        prompts = model.prompts(batch.states)
        return model.decode(batch, prompts[:, :0], prompts).loss

    def reporting(batch: Batch) -> Tensor:
        vision = model.encode(batch.images)
        return model.decode(batch, vision.prefix, model.prompts(batch.states)).loss

    optimizer = build_optimizer([{"params": list(model.parameters()), "lr": 0.0}], "adamw", 0.0)
    phases = (
        (config.warmup_vision_steps, diagnosing), (config.warmup_prompt_steps, reading),
        (config.warmup_steps, reporting),
    )  # fmt: skip
    total = 0.0
    for steps, loss in phases:
        fit([batch], loss, optimizer, (), 0.0)  # the first step of a kind takes longer
        start = time.perf_counter()
        fit([batch], loss, optimizer, (), 0.0)
        total += steps * (time.perf_counter() - start)
    return total
