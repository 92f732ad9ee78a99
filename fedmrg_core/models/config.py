"""Every setting of the model. Their values are in `benchmark/configs/` (defaults.toml and presets/*.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fedmrg_core.errors import ConfigError, choose, in_range, not_empty

NEWER = {"begin": "auto", "chat": "no", "max_patches": 256, "lm_bits": 32, "views": 1}
"""Settings that are newer than the shipped bases, with the values that leave a model as it was without them."""

NO_WARM_UP = {"warmup_studies": 1, "warmup_vision_steps": 0, "warmup_prompt_steps": 0, "warmup_steps": 0}
"""Of a pretrained language model: connector, prompts and head start fresh and train in the federation's own rounds. On
drawn films and reports they would learn another task, through a model that takes seconds per step."""


def without_newer(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a model, without newer ones that leave it as it was."""
    return {key: value for key, value in settings.items() if NEWER.get(key) != value}


@dataclass(frozen=True)
class ModelConfig:
    """What is built, and how its base is warmed up.

    encoder: a registered name ("conv") or the Hugging Face id or path of a vision model.
    lm: a registered name ("tiny") or the Hugging Face id or path of a causal language model.
    lm_bits: of each weight of a checkpoint's frozen language model: 32, or rounded to 8 or 4 (NF4), which takes less
        memory and gives other numbers. Adapters, embeddings and the output layer keep 32.
    image_size: pixels per side; films are resized to squares of it. 0 = what the encoder's checkpoint was trained on;
        it is a number from the start of a run on.
    max_patches: most patches of an encoder's checkpoint that the language model reads; a finer grid is averaged down.
    views: films of a study that the encoder sees: 1 = the frontal one; 2 = also a lateral one, whose patches follow; a
        study without one shows its frontal film twice.
    encoder_channels: channels of the conv encoder's stages. Each stage halves the side; the last is the feature width.
    lm_hidden, lm_layers, lm_heads, lm_intermediate, vocab_size: sizes of a language model that is trained here.
    max_tokens: longest report in tokens, end token included. Longer references are cut in training only.
    instruction: the text before the report, after the visual prefix and the prompts.
    begin: whether the language model's begin token comes first: "auto" = if its tokenizer begins texts with it.
    chat: whether film and instruction are a user's turn in the chat template of the language model's tokenizer, and the
        report is the answer: "auto" = if it has a template. The template then says what comes first.
    prompt_states: 4 = blank and negative differ in the diagnosis prompt; 3 = they are one. Which negatives a report
        mentions depends on the hospital's style, which a true label would leak (leaderboards/LOG.md).
    prompt_from_head: share of training samples whose prompt is the diagnosis head's argmax instead of the label
        states. 0 = always the labels; 1 = always what inference sees.
    warmup_*: warm-up of the base on the public corpus: number of studies, peak learning rate, batch size, and steps in
        three phases: encoder and diagnosis head alone (vision_steps); language model alone, from prompts
        (prompt_steps); the whole model (steps). 0 steps = none.
    """

    encoder: str
    lm: str
    lm_bits: int
    image_size: int
    max_patches: int
    views: int
    encoder_channels: tuple[int, ...]
    lm_hidden: int
    lm_layers: int
    lm_heads: int
    lm_intermediate: int
    vocab_size: int
    max_tokens: int
    instruction: str
    begin: str
    chat: str
    prompt_states: int
    prompt_from_head: float
    warmup_studies: int
    warmup_vision_steps: int
    warmup_prompt_steps: int
    warmup_steps: int
    warmup_lr: float
    warmup_batch: int

    def __post_init__(self) -> None:
        for name in ("encoder", "lm", "encoder_channels"):
            not_empty(f"model.{name}", getattr(self, name))
        if self.image_size:
            in_range("model.image_size", self.image_size, 16, 2048, unit="pixels")
        in_range("model.max_patches", self.max_patches, 1)
        in_range("model.views", self.views, 1, 2)
        choose("model.lm_bits", str(self.lm_bits), ("32", "8", "4"))
        for name in ("begin", "chat"):
            choose(f"model.{name}", getattr(self, name), ("auto", "yes", "no"))
        for channels in self.encoder_channels:
            in_range("model.encoder_channels", channels, 1)
        for name in ("lm_hidden", "lm_layers", "lm_heads", "lm_intermediate", "warmup_studies", "warmup_batch"):
            in_range(f"model.{name}", getattr(self, name), 1)
        for name in ("warmup_vision_steps", "warmup_prompt_steps", "warmup_steps", "warmup_lr"):
            in_range(f"model.{name}", getattr(self, name), 0)
        in_range("model.vocab_size", self.vocab_size, 260)
        in_range("model.max_tokens", self.max_tokens, 2)
        in_range("model.prompt_states", self.prompt_states, 3, 4)
        in_range("model.prompt_from_head", self.prompt_from_head, 0, 1)
        if self.lm_hidden % (2 * self.lm_heads):
            raise ConfigError(
                f"model.lm_hidden = {self.lm_hidden} is no multiple of twice model.lm_heads = {self.lm_heads}:"
                " each head needs an even, whole number of features."
            )

    def recipe(self) -> dict[str, Any]:
        """What a base is known by: all settings, without newer ones that change nothing. It learns on one view."""
        return without_newer({**asdict(self), "views": 1})
