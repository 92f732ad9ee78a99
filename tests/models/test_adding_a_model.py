"""docs/adding-an-encoder.md and docs/adding-a-language-model.md: their examples, put into the folder, are trained."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from safetensors.torch import load_file

from fedmrg_core.errors import FedMRGError
from fedmrg_core.models import registry
from fedmrg_core.models.pretrained import check_checkpoints
from tests.pages import code_block
from tests.toy import Run, toy_spec


def add_file(folder: str, page: str, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the page's example were a file of that folder of models/, for one test."""
    assert registry.encoder_names()  # all files are imported, so that what they register outlives this test
    assert registry.language_model_names()
    (into / f"example_{folder}.py").write_text(code_block(page, "python"))
    package = importlib.import_module(f"fedmrg_core.models.{folder}")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(into)])
    monkeypatch.setattr(registry, "_encoders", dict(registry._encoders))
    monkeypatch.setattr(registry, "_language_models", dict(registry._language_models))


def test_the_example_encoder_is_found_and_trained(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file("encoders", "adding-an-encoder.md", tmp_path, monkeypatch)
    assert registry.encoder_names() == ["conv", "patches"]
    check_checkpoints("patches", "tiny")
    run = Run(toy_spec(toy_cache, "fedavg", "encoder=patches"))
    assert not run.server.params["encoder.embed.weight"].equal(run.initial.params["encoder.embed.weight"])


def test_the_example_language_model_is_found_and_trained(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_file("language", "adding-a-language-model.md", tmp_path, monkeypatch)
    assert registry.language_model_names() == ["cross-attention", "tiny", "tiny-gpt2"]
    check_checkpoints("conv", "tiny-gpt2")
    run = Run(toy_spec(toy_cache, "fedmrg", "lm=tiny-gpt2", "tuning.targets=c_attn"))
    assert any(name.startswith("lm.") and ".lora_B." in name for name in run.server.params)


def test_the_base_of_a_model_that_is_trained_here_holds_it_once(toy_cache: Path) -> None:
    """The tiny model's output layer is its word embeddings: one tensor with two names is stored once."""
    stored = load_file(Path(toy_spec(toy_cache, "fedavg").base) / "base.safetensors")
    assert "lm.model.embed_tokens.weight" in stored
    assert "lm.lm_head.weight" not in stored


def test_two_models_of_one_name_are_refused() -> None:
    registry.encoder_names()
    with pytest.raises(ValueError, match="two encoders are registered as 'conv'"):
        registry.encoder("conv")(registry._encoders["conv"])


def test_a_misspelt_name_is_told_the_nearest_one() -> None:
    with pytest.raises(FedMRGError, match=r"^encoder=cnv cannot be loaded: .*Did you mean 'conv'\?"):
        check_checkpoints("cnv", "tiny")
