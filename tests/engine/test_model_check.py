"""The step that is run before anything long: without data, without the language model's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.cli import main
from fedmrg_core.engine.model_check import check_model, warm_up_seconds
from fedmrg_core.errors import FedMRGError
from tests.models.families import ENCODERS, LANGUAGE_MODELS, save
from tests.toy import toy_config

LM = ("tuning.kind=lora", "tuning.rank=2", "encoder_channels=8,8,8,8")


@pytest.mark.parametrize("kind", ["full", "frozen", "lora", "adalora", "vera", "prefix"])
def test_sizes_are_known_without_weights(kind: str, tmp_path: Path) -> None:
    path = save(LANGUAGE_MODELS[0], tmp_path)
    config = toy_config("fedavg", f"lm={path}", *LM[1:], f"tuning.kind={kind}", "tuning.targets=q_proj")
    sizes = check_model(config.model, config.algorithm)
    adapters = {"lora": 2 * (2 * 16 * 2), "adalora": 2 * (2 * 16 * 2 + 2), "vera": 2 * (16 + 2), "prefix": 1024}
    lm = sum(t.numel() for t in load_file(path / "model.safetensors").values())
    others = check_model(config.model, toy_config("fedavg", "tuning.kind=frozen").algorithm).moving
    assert sizes.moving - others == (lm if kind == "full" else adapters.get(kind, 0))
    assert sizes.sent == sizes.moving


def test_missing_weights_are_noticed_without_reading_values(tmp_path: Path) -> None:
    path = save(LANGUAGE_MODELS[0], tmp_path)
    state = load_file(path / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    save_file({n: t for n, t in state.items() if n != name}, path / "model.safetensors", {"format": "pt"})
    config = toy_config("fedlora", f"lm={path}")
    with pytest.raises(FedMRGError, match=f"it lacks 1 of its weights, as {name}"):
        check_model(config.model, config.algorithm)


def test_a_wrong_pair_is_refused_before_data_and_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(*args: object) -> None:
        raise AssertionError("data are prepared before the models are known to work")

    monkeypatch.setattr("benchmark.run.stages.load_data", not_yet)
    paths = {family.name: save(family, tmp_path / family.model) for family in (LANGUAGE_MODELS[8], ENCODERS[0])}
    cases = (
        ((f"lm={paths['GPT-2']}", "tuning.targets=q_proj", "max_tokens=24"), "Linear layers: c_attn, c_fc, c_proj."),
        ((f"lm={paths['GPT-2']}", "image_size=64", "max_tokens=120"), "lower model.max_tokens"),
        ((f"encoder={paths['GPT-2']}", "image_size=32"), "it cannot encode films of image_size=32"),
        ((f"lm={paths['ViT']}",), "a model of type vit is no causal language model"),
    )
    for overrides, message in cases:
        sets = [word for override in overrides for word in ("--set", override)]
        assert main(["bench", "--algo", "fedlora", *sets]) == 2
        assert message in capsys.readouterr().err


def test_a_pretrained_language_model_has_no_warm_up(tmp_path: Path) -> None:
    config = toy_config("fedavg", f"lm={save(LANGUAGE_MODELS[0], tmp_path)}", "warmup_steps=7").model
    assert (config.warmup_vision_steps, config.warmup_prompt_steps, config.warmup_steps) == (0, 0, 0)


def test_the_time_of_a_warm_up_is_estimated_by_its_steps() -> None:
    torch.set_num_threads(1)
    model = toy_config("fedavg", "warmup_steps=400").model
    assert warm_up_seconds(toy_config("fedavg", *(f"warmup_{n}steps=0" for n in ("", "vision_", "prompt_"))).model) == 0
    assert 0.1 < warm_up_seconds(model) < 600
