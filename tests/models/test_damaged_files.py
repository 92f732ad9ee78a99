"""Damaged or unsuitable checkpoints and bases: one clear line that names the file or the setting."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmrg_core.errors import FedMRGError
from fedmrg_core.models.pretrained import check_checkpoints
from fedmrg_core.models.registry import build_encoder, get_language_model
from fedmrg_core.models.report_model import build_model
from tests.toy import toy_config, toy_spec

Harm = Callable[[Path], object]


def cut(name: str, size: int) -> Harm:
    """A file of which only the first bytes arrived."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def write(name: str, content: str) -> Harm:
    return lambda folder: (folder / name).write_text(content)


def change(name: str, **facts: object) -> Harm:
    """Other values in a JSON file; None removes a key."""

    def harm(folder: Path) -> None:
        content = {**json.loads((folder / name).read_text()), **facts}
        (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return harm


def remove(pattern: str) -> Harm:
    return lambda folder: [file.unlink() for file in folder.glob(pattern)]


def harmed(checkpoint: Path, harm: Harm, tmp_path: Path) -> str:
    copy = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copy)
    harm(copy)
    return str(copy)


def load_language_model(path: str) -> None:
    check_checkpoints("conv", path)
    config = toy_config("fedavg", f"lm={path}").model
    model = get_language_model(path)
    model.build(config, model.tokenizer(config, Path()))


def load_encoder(path: str) -> None:
    check_checkpoints(path, "tiny")
    build_encoder(toy_config("fedavg", f"encoder={path}").model)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (write("config.json", "{"), "config.json is damaged"),
        (write("config.json", "[]"), "Unrecognized model"),
        (cut("model.safetensors", 100), "model.safetensors is damaged"),
        (cut("model.safetensors", 20000), "model.safetensors is damaged"),
        (cut("model.safetensors", 0), "model.safetensors is damaged"),
        (remove("model.safetensors"), "no file named model.safetensors"),
        (change("config.json", hidden_size=64), "its weights have other shapes than its config.json says"),
        (cut("tokenizer.json", 200), "tokenizer.json is damaged"),
        (write("tokenizer_config.json", "\x00"), "tokenizer_config.json is damaged"),
        (remove("token*"), "its tokenizer is empty or cannot encode English"),
        (change("tokenizer_config.json", eos_token=None), "its tokenizer has no end token"),
    ],
)
def test_a_language_model(harm: Harm, reason: str, language_checkpoint: Path, tmp_path: Path) -> None:
    path = harmed(language_checkpoint, harm, tmp_path)
    with pytest.raises(FedMRGError, match=f"^lm={path} cannot be loaded: .*{reason}[^\n]*$"):
        load_language_model(path)


def test_more_tokens_than_embeddings(language_checkpoint: Path) -> None:
    config = toy_config("fedavg", f"lm={language_checkpoint}").model
    model = get_language_model(config.lm)
    tokenizer = model.tokenizer(config, language_checkpoint)
    tokenizer._tokenizer.add_tokens([f"word{at}" for at in range(400)])
    with pytest.raises(FedMRGError, match=r"its tokenizer has \d+ tokens, its model \d+ embeddings"):
        model.build(config, tokenizer)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (cut("model.safetensors", 100), "model.safetensors is damaged"),
        (write("preprocessor_config.json", "{"), "preprocessor_config.json is damaged"),
        (
            write("preprocessor_config.json", '{"image_processor_type": "ViTImageProcessor", "image_std": [0, 0, 0]}'),
            "preprocessor_config.json has image_mean",
        ),
        (change("config.json", image_size=32), "its weights have other shapes than its config.json says"),
    ],
)
def test_an_encoder(harm: Harm, reason: str, vit_checkpoint: Path, tmp_path: Path) -> None:
    path = harmed(vit_checkpoint, harm, tmp_path)
    with pytest.raises(FedMRGError, match=f"^encoder={path} cannot be loaded: .*{reason}[^\n]*$"):
        load_encoder(path)


def test_an_encoder_of_which_needed_weights_are_missing(vit_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(harmed(vit_checkpoint, lambda folder: None, tmp_path))
    state = load_file(folder / "model.safetensors")
    (name,) = [name for name in state if name.endswith("0.layernorm_before.weight")]
    save_file({n: t for n, t in state.items() if n != name}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(FedMRGError, match=r"it lacks 1 weights that are needed, as .*0\.layernorm_before\.weight"):
        build_encoder(toy_config("fedavg", f"encoder={folder}").model)


def test_a_language_model_as_encoder(language_checkpoint: Path) -> None:
    with pytest.raises(FedMRGError, match="it cannot encode films of image_size=64: "):
        build_encoder(toy_config("fedavg", f"encoder={language_checkpoint}").model)


def test_channels_that_cannot_be_normalised_in_groups() -> None:
    with pytest.raises(FedMRGError, match=r"^model.encoder_channels = \[8, 12\]: each must be a multiple of 8$"):
        build_encoder(toy_config("fedavg", "encoder_channels=8,12").model)


def other_shape(base: Path) -> None:
    state = load_file(base / "base.safetensors")
    save_file({**state, "connector.bias": torch.zeros(3)}, base / "base.safetensors")


def other_name(base: Path) -> None:
    save_file({"connector.weights": torch.zeros(3)}, base / "base.safetensors")


@pytest.mark.parametrize(
    ("harm", "file", "reason"),
    [
        (cut("base.safetensors", 100), "base.safetensors", "cannot be read"),
        (cut("base.safetensors", 0), "base.safetensors", "cannot be read"),
        (other_shape, "base.safetensors", r"'connector.bias' has shape \[3\] where this model has \[32\]"),
        (other_name, "base.safetensors", "has a tensor 'connector.weights' that this model lacks"),
        (cut("tokenizer.json", 100), "tokenizer.json", "is no tokenizer"),
        (write("tokenizer.json", "{}"), "tokenizer.json", "is no tokenizer"),
    ],
)
def test_a_base(harm: Harm, file: str, reason: str, toy_cache: Path, tmp_path: Path) -> None:
    spec = toy_spec(toy_cache, "fedavg")
    base = harmed(Path(spec.base), harm, tmp_path)
    with pytest.raises(FedMRGError, match=f"^{base}/{file}: {reason}.*; delete its folder, [^\n]*$"):
        build_model(spec.model, Path(base), 0)
