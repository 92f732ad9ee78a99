"""`lm = ID or FOLDER`: any Hugging Face causal language model, from safetensors, with its own fast tokenizer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fedmrg_core.errors import ConfigError
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.pretrained import load_pretrained, load_weights, refusal
from fedmrg_core.models.registry import CHECKPOINT, language_model
from fedmrg_core.models.tokenizer import ReportTokenizer


def own_tokenizer(config: ModelConfig, base: Path) -> ReportTokenizer:
    """The checkpoint's tokenizer. Its end token serves as padding if it has no padding token.

    Raises ConfigError if it has no end token, or cannot encode English.
    """
    from transformers import AutoTokenizer

    wrapped = load_pretrained("lm", config.lm, AutoTokenizer.from_pretrained)
    inner, end = getattr(wrapped, "backend_tokenizer", None) or _Slow(wrapped), wrapped.eos_token_id
    if end is None:
        raise refusal("lm", config.lm, "its tokenizer has no end token (eos_token in tokenizer_config.json)")
    pad = wrapped.pad_token_id if wrapped.pad_token_id is not None else end
    tokenizer = ReportTokenizer(inner, pad, end, config.max_tokens, _begin(config, wrapped), _turn(config, wrapped))
    if "heart" not in tokenizer.decode(tokenizer.encode("the heart is normal")).lower():
        raise refusal("lm", config.lm, "its tokenizer is empty or cannot encode English (is tokenizer.json missing?)")
    return tokenizer


def _begin(config: ModelConfig, tokenizer: Any) -> int | None:
    """The id of the token that comes first, if one does. Raises ConfigError if one is asked for and there is none."""
    token: int | None = tokenizer.bos_token_id
    if config.begin == "yes" and token is None:
        raise ConfigError(f"model.begin = yes, but the tokenizer of lm={config.lm} has no begin token")
    habit = token is not None and tokenizer("heart").input_ids[:1] == [token]
    return token if config.begin == "yes" or (config.begin == "auto" and habit) else None


def _turn(config: ModelConfig, tokenizer: Any) -> tuple[str, str] | None:
    """What the tokenizer's chat template puts before the film, and after it with the instruction in it, if it is asked
    for. Raises ConfigError if there is no template, or none with room for a film."""
    has = bool(getattr(tokenizer, "chat_template", None))
    if config.chat == "no" or (config.chat == "auto" and not has):
        return None
    if not has:
        raise ConfigError(f"model.chat = yes, but the tokenizer of lm={config.lm} has no chat template")
    film = "<<film>>"
    message = [{"role": "user", "content": film + config.instruction}]
    text: str = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    before, found, after = text.partition(film)
    if not found:
        raise ConfigError(f"the chat template of lm={config.lm} drops what a user says: set model.chat = no")
    return before, after


def _causal(path: str, **options: Any) -> Any:
    """`from_pretrained`. Of a BERT, a decoder: else its tokens would see those after them."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path)
    if getattr(config, "is_decoder", None) is False:
        config.is_decoder = True
    return AutoModelForCausalLM.from_pretrained(path, config=config, **options)


class _Slow:
    """A tokenizer written in Python, with the interface of a fast one (`tokenizers.Tokenizer`)."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.decode = tokenizer.decode

    def encode(self, text: str, add_special_tokens: bool) -> Any:
        return SimpleNamespace(ids=self._tokenizer.encode(text, add_special_tokens=add_special_tokens))

    def get_vocab_size(self) -> int:
        return len(self._tokenizer)


@language_model(CHECKPOINT, trained_here=False, tokenizer=own_tokenizer)
def build(config: ModelConfig, tokenizer: ReportTokenizer) -> Any:
    """The checkpoint's model in float32 or rounded, without what its `generation_config.json` says. Raises ConfigError
    if its tokenizer has more tokens than it has embeddings, or weights are missing."""
    from transformers import GenerationConfig

    model, missing = load_weights("lm", config.lm, _causal, config.lm_bits)
    if missing:
        raise refusal("lm", config.lm, f"it lacks {len(missing)} of its weights, as {min(missing)}")
    model.generation_config = GenerationConfig()
    rows = int(model.get_input_embeddings().weight.shape[0])
    if tokenizer.vocab_size > rows:
        raise refusal("lm", config.lm, f"its tokenizer has {tokenizer.vocab_size} tokens, its model {rows} embeddings")
    return model
