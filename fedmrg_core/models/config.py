"""Every setting of the model. The values stand in `benchmark/configs/` (defaults.toml and presets/*.toml)."""

from __future__ import annotations

from dataclasses import dataclass

from fedmrg_core.errors import ConfigError, in_range, not_empty


@dataclass(frozen=True)
class ModelConfig:
    """What is built, and how its base is warmed up.

    encoder: "conv" (a small convolutional encoder) or a Hugging Face id or path of a vision model.
    lm: "tiny" (a LLaMA-architecture decoder built from the `lm_*` fields) or a Hugging Face id or path of a causal LM.
    image_size: pixels of a side; films are resized to squares of it.
    encoder_channels: channels of the conv encoder's stages; each halves the side, the last is the feature width.
    max_tokens: longest report in tokens, end token included; longer references are cut in training only.
    instruction: the text between the visual prefix (and the prompts) and the report.
    prompt_states: 4 keeps blank apart from negative in the diagnosis prompt; 3 merges them, because which negatives
        a report mentions is a matter of the hospital's style, which a true label would leak (LOG.md).
    prompt_from_head: share of training samples prompted by the diagnosis head's own argmax instead of the label
        states; 0 = always the labels (DESIGN section 6), 1 = training sees just what inference sees.
    warmup_*: the public-corpus warm-up of the base: studies; steps of the encoder and the diagnosis head alone
        (vision_steps), of the language model alone, which learns to write what a prompt says (prompt_steps), and of
        the whole model (steps); peak learning rate; batch. 0 steps = none.
    """

    encoder: str
    lm: str
    image_size: int
    encoder_channels: tuple[int, ...]
    lm_hidden: int
    lm_layers: int
    lm_heads: int
    lm_intermediate: int
    vocab_size: int
    max_tokens: int
    instruction: str
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
        in_range("model.image_size", self.image_size, 16, 2048, unit="pixels")
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
