"""`model.lm_bits`: a checkpoint's language model with weights of 8 or 4 bits trains, generates and is taken away."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedmrg_core.engine.model_check import check_model
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models import rounded
from fedmrg_core.models.exported import export_model, load_exported
from tests.toy import Run, toy_config, toy_spec

needed = pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes")


@needed
@pytest.mark.parametrize("bits", [8, 4])
def test_a_round_and_its_export(toy_cache: Path, language_checkpoint: Path, tmp_path: Path, bits: int) -> None:
    spec = toy_spec(toy_cache, "fedmrg", f"lm={language_checkpoint}", f"lm_bits={bits}", "train.rounds=1")
    before = Worker(spec).model.lm.state_dict()
    run = Run(spec)
    model = run.worker.model
    layers = [one for one in model.lm.modules() if type(one).__name__ in ("Linear8bitLt", "Linear4bit")]
    assert layers
    assert all(one.weight.dtype in (torch.int8, torch.uint8) for one in layers)
    after = {name: tensor for name, tensor in model.lm.state_dict().items() if isinstance(tensor, torch.Tensor)}
    moved = {name for name, tensor in after.items() if not tensor.equal(before[name])}
    assert moved
    assert all(".lora_" in name for name in moved), "rounded weights moved"
    run.worker.start_from(run.server.params)
    films = run.worker.images(run.federation.hospitals[0].rows["test"][:2])
    model.eval()
    reports = model.generate(films, {"generic": 1.0}).reports
    export_model(model, {"generic": 1.0}, 1.0, spec.generation, tmp_path / "out")
    again, settings = load_exported(tmp_path / "out")
    assert again.generate(films, **settings).reports == reports


@needed
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("bits", [8, 4])
def test_a_round_on_a_gpu(toy_cache: Path, language_checkpoint: Path, bits: int) -> None:
    spec = toy_spec(toy_cache, "fedmrg", f"lm={language_checkpoint}", f"lm_bits={bits}", "train.rounds=1")
    run = Run(replace(spec, device=replace(spec.device, device="cuda")))
    assert all(tensor.isfinite().all() for tensor in run.server.params.values())


def test_what_cannot_be_rounded_is_refused_before_anything_is_loaded(
    language_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(algo: str, *overrides: str) -> str:
        config = toy_config(algo, "lm_bits=4", *overrides)
        with pytest.raises(ConfigError) as error:
            check_model(config.model, config.algorithm)
        return str(error.value)

    none = "model.lm_bits = 4 rounds a checkpoint's weights, and lm=tiny has none: set lm_bits = 32."
    assert refused("fedlora") == none
    checkpoint = f"lm={language_checkpoint}"
    full = "tuning.kind = full does not work with model.lm_bits = 4: take frozen, lora, prefix."
    monkeypatch.setattr(rounded, "PACKAGE", "torch")
    assert refused("fedavg", checkpoint) == full
    assert refused("fedex-lora", checkpoint) == "this algorithm adds to the weights that model.lm_bits = 4 rounds."
    monkeypatch.setattr(rounded, "PACKAGE", "no_such_package")
    assert "needs no_such_package: pip install 'fedmrg[bits]'" in refused("fedlora", checkpoint)
    with pytest.raises(ConfigError, match=r"unknown model\.lm_bits '5'\. Allowed: 32, 4, 8\."):
        toy_config("fedlora", "lm_bits=5")
