"""Models by their shapes alone: to count and to measure before any weights are there.

with shapes_only():
    model = ReportModel(config, tokenizer)        # the language model is on the meta device, the encoder is random
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

KNOWN: dict[str, tuple[str, dict[str, Any]]] = {  # hub id -> type and settings, so that no hub need be reached
    "meta-llama/Llama-2-7b-hf": (
        "llama",
        {
            "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
        },
    ),
    "Qwen/Qwen2.5-0.5B-Instruct": (
        "qwen2",
        {
            "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
            "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768,
            "tie_word_embeddings": True,
        },
    ),
    "smollm2-135m-q4_1": (
        "llama",
        {
            "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
            "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
        },
    ),
    "microsoft/resnet-101": (
        "resnet",
        {"depths": [3, 4, 23, 3], "hidden_sizes": [256, 512, 1024, 2048], "layer_type": "bottleneck"},
    ),
    "microsoft/swin-tiny-patch4-window7-224": (
        "swin",
        {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7, "image_size": 224},
    ),
}  # fmt: skip

_building: ContextVar[bool] = ContextVar("shapes_only", default=False)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Inside the block checkpoints are built from their configurations with random values: nothing but `config.json` is
    read, and for a known name not even that."""
    token = _building.set(True)
    try:
        yield
    finally:
        _building.reset(token)


def building_shapes() -> bool:
    """Whether this is inside `shapes_only`."""
    return _building.get()


def known_config(name: str) -> Any:
    """The configuration of a known name, or None."""
    from transformers import AutoConfig

    if name not in KNOWN:
        return None
    kind, values = KNOWN[name]
    return AutoConfig.for_model(kind, **values)


def build_shape(setting: str, config: Any) -> Any:
    """The model of a configuration, with random values. setting: "encoder" or "lm"."""
    from transformers import AutoModel, AutoModelForCausalLM

    if setting == "encoder":
        return AutoModel.from_config(getattr(config, "vision_config", config))
    return AutoModelForCausalLM.from_config(config)
