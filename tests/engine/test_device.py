"""Settings of the device, and what is promised of its bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.run import settings
from fedmrg_core import tree
from fedmrg_core.engine.device import DeviceConfig, autocast, determinism, to_device
from fedmrg_core.errors import ConfigError
from tests.toy import Run, toy_config, toy_spec


def test_settings_of_the_device_are_checked_and_only_precision_enters_the_hash() -> None:
    plain = toy_config("fedavg")
    assert toy_config("fedavg", "gradient_checkpointing=true").hash() == plain.hash()
    assert toy_config("fedavg", "precision=bf16").hash() != plain.hash()
    with pytest.raises(ConfigError, match=r"precision 'fp16'.*bf16|bf16"):
        toy_config("fedavg", "precision=fp16")
    old = plain.as_dict()
    old["engine"] = {k: v for k, v in old["engine"].items() if k not in ("precision", "gradient_checkpointing", "tf32")}
    assert settings.from_dict(old).hash() == plain.hash()  # a run of before these settings can be resumed
    assert settings.from_dict(old).device.precision == "float32"


def test_what_is_promised_of_the_bits_stands_in_words() -> None:
    assert determinism(DeviceConfig("cpu"))["bits"] == "exact"
    said = determinism(DeviceConfig("cuda", "bf16"))
    assert said["bits"] == "not promised"
    assert "bf16" in said["by"]
    assert "CUBLAS_WORKSPACE_CONFIG" in said["by"]


def test_on_the_cpu_nothing_is_copied_or_cast() -> None:
    tensor = torch.ones(2)
    assert to_device(tensor, "cpu") is tensor
    with autocast(DeviceConfig("cpu")):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(DeviceConfig("cpu", "bf16")):
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("algo", ["fedavg", "fedprox", "fedlora", "fedmrg"])
def test_on_a_gpu_a_round_is_near_the_cpus(algo: str, precision: str, toy_cache: Path) -> None:
    from dataclasses import replace

    spec = toy_spec(toy_cache, algo)
    there = Run(replace(spec, device=DeviceConfig("cuda", precision, gradient_checkpointing=True, tf32=False)))
    here = Run(spec)
    tolerance = 1e-3 if precision == "float32" else 0.05
    assert there.logs[0].row["loss"] == pytest.approx(here.logs[0].row["loss"], rel=tolerance)
    assert all(tensor.device.type == "cpu" for tensor in there.server.params.values())
    moved = tree.subtract(there.server.params, here.server.params)
    assert tree.nonfinite(moved) is None
