"""Random checkpoints of a few thousand parameters, one per family of language models and encoders that people use.

`docs/model-families.md` is made from them: `python -m tests.models.families` renews its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.language_facts import embedding_scale
from fedmrg_core.models.lora_targets import targets_of
from fedmrg_core.models.registry import Encoder, build_encoder, get_language_model
from fedmrg_core.models.report_model import ReportModel
from fedmrg_core.models.tokenizer import END, PAD, train_tokenizer
from fedmrg_core.models.tuning import Tuning
from fedmrg_core.paths import ROOT
from tests.toy import toy_config

PAGE = ROOT / "docs" / "model-families.md"
TEXTS = ["The heart is normal in size.", "There is a small left pleural effusion.", "No pneumothorax.", "Mild edema."]
BEGIN = "<begin>"
SIDE = 32
"""Pixels per side of the encoders' films."""
SIZES = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128,
}  # fmt: skip
OF_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128}
DROPOUT = {"hidden_dropout": 0.3, "attention_dropout": 0.3, "resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.3}
VIT = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": SIDE,
    "patch_size": 8,
}  # fmt: skip
SWIN = {"image_size": SIDE, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 32}


@dataclass(frozen=True)
class Family:
    """name: as people call it. model: class in transformers. config: what its configuration says.

    targets: what LoRA adapts under `auto`. begin: its tokenizer begins every text with a token of its own.
    patches, extra: of an encoder: number of patches of a film, and of other tokens, which do not serve.
    """

    name: str
    model: str
    config: dict[str, Any]
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    begin: bool = False
    patches: int = 16
    extra: int = 0


LANGUAGE_MODELS = (
    Family("Llama", "LlamaForCausalLM", SIZES, begin=True),
    Family("Qwen2", "Qwen2ForCausalLM", SIZES),
    Family("Qwen3", "Qwen3ForCausalLM", SIZES),
    Family("Mistral", "MistralForCausalLM", SIZES, begin=True),
    Family("Gemma2", "Gemma2ForCausalLM", SIZES, begin=True),
    Family("Gemma3", "Gemma3ForCausalLM", SIZES, begin=True),
    Family("Phi", "PhiForCausalLM", {**SIZES, **DROPOUT}),
    Family("Phi3", "Phi3ForCausalLM", {**SIZES, **DROPOUT}, targets=("qkv_proj",)),
    Family("GPT-2", "GPT2LMHeadModel", {**OF_GPT2, **DROPOUT}, targets=("c_attn",)),
    Family("GPT-NeoX", "GPTNeoXForCausalLM", {**SIZES, **DROPOUT}, targets=("query_key_value",)),
    Family("OPT", "OPTForCausalLM", {**SIZES, "ffn_dim": 32, "word_embed_proj_dim": 8, "dropout": 0.3}, begin=True),
    Family("BioGPT", "BioGptForCausalLM", {**SIZES, "hidden_dropout_prob": 0.3}, begin=True),
)
ENCODERS = (
    Family("ViT", "ViTModel", VIT, extra=1),
    Family("DeiT", "DeiTModel", VIT, extra=2),
    Family("BEiT", "BeitModel", {**VIT, "use_relative_position_bias": True}, extra=1),
    Family("DINOv2 with registers", "Dinov2WithRegistersModel", VIT, extra=5),
    Family("Swin", "SwinModel", SWIN),
    Family("Swinv2", "Swinv2Model", SWIN),
    Family("ConvNeXt", "ConvNextModel", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}),
    Family("ResNet", "ResNetModel", {**STAGES, "layer_type": "basic"}),
    Family("RegNet", "RegNetModel", {**STAGES, "groups_width": 8}),
    Family("CLIP, vision", "CLIPVisionModel", VIT, extra=1),
    Family("CLIP, full", "CLIPModel", {"vision_config": VIT, "text_config": TEXT}, extra=1),
    Family("SigLIP, vision", "SiglipVisionModel", VIT),
    Family("SigLIP, full", "SiglipModel", {"vision_config": VIT, "text_config": TEXT}),
    Family(
        "EfficientNet", "EfficientNetModel",
        {"width_coefficient": 0.25, "depth_coefficient": 0.1, "hidden_dim": 320, "image_size": SIDE}, patches=1,
    ),
    Family("ViT-MAE", "ViTMAEModel", VIT, extra=1),
)  # fmt: skip


def save(family: Family, folder: Path) -> Path:
    """The family's checkpoint with weights drawn from seed 0; a language model's with its tokenizer."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    model = getattr(transformers, family.model)
    facts = dict(family.config)
    if family in LANGUAGE_MODELS:
        tokenizer = tokenizer_of(family.begin)
        tokenizer.save_pretrained(folder)
        ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        facts |= {"vocab_size": 304, "pad_token_id": tokenizer.pad_token_id, **ids}
    torch.manual_seed(0)
    model(model.config_class(**facts)).save_pretrained(folder)
    return folder


@cache
def tokenizer_of(begin: bool) -> Any:
    """A fast tokenizer of 300 tokens; `begin`: with one that begins every text."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    trained = train_tokenizer(TEXTS, 300)
    if begin:
        trained.add_special_tokens([BEGIN])
        trained.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A", special_tokens=[(BEGIN, trained.token_to_id(BEGIN))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, pad_token=PAD, eos_token=END, bos_token=BEGIN if begin else None
    )


def load(family: Family, folder: Path) -> ReportModel | Encoder:
    """What the settings `lm = FOLDER` or `encoder = FOLDER` build: the model with two adapters, or the encoder."""
    path = save(family, folder)
    if family in ENCODERS:
        return build_encoder(_config(f"encoder={path}", f"image_size={SIDE}"))
    config = _config(f"lm={path}")
    model = ReportModel(config, get_language_model(config.lm).tokenizer(config, path))
    model.tune(Tuning("lora", rank=2, targets=("auto",)), ("generic", "specialised"), diagnosis=True, seed=0)
    return model


def _config(*overrides: str) -> ModelConfig:
    return toy_config("fedmrg", "encoder_channels=8", "image_size=16", *overrides).model


def row(family: Family, model: ReportModel | Encoder) -> str:
    """What the table of the page says of a family, read off its checkpoint."""
    if isinstance(model, ReportModel):
        words = model.lm.get_input_embeddings()
        scale = embedding_scale(words)
        facts = [
            f"`{'`, `'.join(targets_of(model.lm, ('auto',)))}`", "yes" if len(model.begin) else "no",
            "1" if scale == 1 else f"{scale / words.weight.shape[1] ** 0.5:.0f} x sqrt(width)",
        ]  # fmt: skip
        return " | ".join([family.name, f"`{family.model}`", *facts])
    parts = {".".join(name.split(".")[1:3]).removesuffix(".weight") for name in model.unused}
    idle = ", ".join(f"`{part}`" for part in sorted(parts)) or "none"
    return " | ".join([family.name, f"`{family.model}`", str(getattr(model, "extra", 0)), idle])


def page(rows: Mapping[str, str]) -> str:
    """The page with tables of these rows, by the names of their families."""
    text = PAGE.read_text(encoding="utf-8")
    for families in (LANGUAGE_MODELS, ENCODERS):
        head, _, rest = text.partition(f"| {families[0].name} |")
        tail = rest.partition("\n\n")[2]
        text = head + "\n".join(f"| {rows[family.name]} |" for family in families) + "\n\n" + tail
    return text


def main() -> None:
    with TemporaryDirectory() as folder:
        families = (*LANGUAGE_MODELS, *ENCODERS)
        rows = {family.name: row(family, load(family, Path(folder) / family.model)) for family in families}
    PAGE.write_text(page(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
