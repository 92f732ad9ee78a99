"""A model of checkpoints as exported files: its language model is named, not copied."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from fedmrg_core.models.exported import export_model, load_exported
from fedmrg_core.models.generation import GREEDY
from fedmrg_core.models.tuning import Tuning
from tests.models.test_shapes import FILMS, built


def test_a_checkpoints_language_model_is_named_and_its_adapter_written(
    toy_cache: Path, vit_checkpoint: Path, language_checkpoint: Path, tmp_path: Path
) -> None:
    names = (f"encoder={vit_checkpoint}", f"lm={language_checkpoint}")
    model = built(toy_cache, *names, tuning=Tuning("lora", rank=2))
    draw = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name or name.startswith("connector"):
            torch.nn.init.normal_(parameter, std=0.5, generator=draw)
    expected = model.generate(FILMS, {"generic": 0.5}).reports
    assert expected != model.generate(FILMS, ()).reports
    export_model(model, {"generic": 0.5}, 1.0, GREEDY, tmp_path)
    assert not (tmp_path / "language_model").exists()
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        language_checkpoint
    )
    loaded, settings = load_exported(tmp_path)
    assert loaded.generate(FILMS, **settings).reports == expected
