"""Hugging Face checkpoints that the tests make themselves: a causal LM with its tokenizer, and two vision models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.models.tokenizer import END, PAD, train_tokenizer

torch.set_num_threads(1)  # more slow a small model down
TEXTS = ["The heart is normal in size.", "There is a small left pleural effusion.", "No pneumothorax.", "Mild edema."]


@pytest.fixture(scope="session")
def language_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer GPT-NeoX with a fast tokenizer: another architecture than the tiny preset's."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("lm")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(TEXTS, 300), pad_token=PAD, eos_token=END)
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=256, eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def resnet_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ResNet, for its BatchNorm statistics, with the normalisation it was trained with."""
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

    folder = tmp_path_factory.mktemp("resnet")
    torch.manual_seed(0)
    config = ResNetConfig(num_channels=3, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder, safe_serialization=True)
    ConvNextImageProcessor(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vit_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ViT on grey films, without an image processor."""
    from transformers import ViTConfig, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        num_channels=1,
    )  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    return folder
