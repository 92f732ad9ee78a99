"""Real `from_pretrained`: a language model and encoders from checkpoints on disk go through the one trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import FedMRGError
from fedmrg_core.models.encoders.huggingface import HuggingFaceEncoder
from fedmrg_core.models.pretrained import check_checkpoints
from tests.toy import Run, toy_config, toy_spec


def test_a_pretrained_lm_is_frozen_but_for_its_adapters(toy_cache: Path, language_checkpoint: Path) -> None:
    overrides = (f"lm={language_checkpoint}", "tuning.targets=query_key_value", "warmup_steps=2")
    run = Run(toy_spec(toy_cache, "fedmrg", *overrides))
    before, now = run.initial.params, run.server.params
    assert {name.split(".")[0] for name in now} == {"encoder", "connector", "dx_head", "dx_prompts", "lm"}
    assert all(".lora_" in name for name in now if name.startswith("lm."))
    assert any(not now[name].equal(before[name]) for name in now if ".lora_B." in name)

    from safetensors.torch import load_file

    saved = load_file(language_checkpoint / "model.safetensors")
    kept = {n.replace(".base_layer", ""): t for n, t in run.worker.model.lm.state_dict().items() if ".lora_" not in n}
    assert all(kept[name].equal(tensor) for name, tensor in saved.items() if name in kept)
    assert not list(Path(run.spec.base).glob("*.bin")), "the base holds safetensors only"


def test_batch_norm_statistics_are_state_that_travels(toy_cache: Path, resnet_checkpoint: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedlora", f"encoder={resnet_checkpoint}"))
    statistics = [name for name in run.server.params if name.endswith(("running_mean", "running_var"))]
    assert statistics
    assert any(not run.server.params[name].equal(run.initial.params[name]) for name in statistics)


def test_films_are_normalised_as_the_encoder_was_trained(resnet_checkpoint: Path, vit_checkpoint: Path) -> None:
    config = toy_config("fedavg").model
    resnet, vit = (HuggingFaceEncoder(replace(config, encoder=str(p))) for p in (resnet_checkpoint, vit_checkpoint))
    assert resnet.mean.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert resnet.std.flatten().tolist() == pytest.approx([0.2, 0.25, 0.3])
    assert vit.mean.flatten().tolist() == [0.5]
    films = torch.randint(0, 256, (2, 64, 64), dtype=torch.uint8)
    assert resnet.eval()(films).shape == (2, 64, 16)
    assert vit.eval()(films).shape == (2, 16, 32)


@pytest.mark.parametrize("setting", ["lm", "encoder"])
def test_a_checkpoint_that_is_not_there_is_one_clear_line(setting: str, tmp_path: Path) -> None:
    with pytest.raises(FedMRGError, match=f"^{setting}=.*missing cannot be loaded: [^\n]*$"):
        check_checkpoints(**{"encoder": "conv", "lm": "tiny", setting: str(tmp_path / "missing")})


def test_the_cache_changes_no_report(toy_cache: Path) -> None:
    worker = Worker(toy_spec(toy_cache, "fedmrg"))
    model = worker.model.eval()
    films = torch.from_numpy(worker.federation.images(range(6)))
    cached = model.generate(films, ("generic",)).reports
    model.lm.generation_config.use_cache = False
    assert model.generate(films, ("generic",)).reports == cached
    assert any(cached)
