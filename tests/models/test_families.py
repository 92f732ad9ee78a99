"""Every family of language models and encoders that people use, on a small checkpoint with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.run import settings
from fedmrg_core.algorithms.fedmrg import FedMRG
from fedmrg_core.engine.model_check import check_model
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.encoders.huggingface import HuggingFaceEncoder
from fedmrg_core.models.lora_targets import targets_of
from fedmrg_core.models.registry import build_encoder, get_language_model
from fedmrg_core.models.report_model import Batch, ReportModel
from fedmrg_core.models.tuning import Tuning
from tests.models.families import ENCODERS, LANGUAGE_MODELS, PAGE, SIDE, TEXTS, Family, load, row, save
from tests.pages import text
from tests.toy import toy_config

ALGORITHM = FedMRG(tuning=Tuning("lora", rank=2, targets=("auto",)))


def films(count: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", LANGUAGE_MODELS, ids=lambda family: family.name)
def test_a_language_model(family: Family, tmp_path: Path) -> None:
    model = load(family, tmp_path)
    assert isinstance(model, ReportModel)
    assert targets_of(model.lm, ("auto",)) == family.targets
    assert len(model.begin) == family.begin
    words = model.lm.get_input_embeddings()(torch.arange(300))
    assert model.dx_prompts.weight.std().item() == pytest.approx(words.std().item(), rel=0.35), "not as words"
    assert model.lm.generation_config.to_diff_dict().keys() <= {"transformers_version"}
    moving = [name for name in model.trainable() if name.startswith("lm.")]
    assert all(".lora_" in name for name in moving)

    batch = Batch(films(2, 16), *model.tokenizer.batch(TEXTS[:2]), torch.zeros(2, 14, dtype=torch.int64))
    model.train()
    vision = model.encode(batch.images)
    paths = [model.decode(batch, vision.prefix, model.prompts(batch.states), (n,)) for n in ("generic", "specialised")]
    assert paths[0].logits.equal(paths[1].logits), "with B = 0 both adapters are the frozen model, without its dropout"
    (paths[0].loss + paths[1].loss).backward()
    parameters = model.trainable()
    assert all(parameters[name].grad is not None for name in moving)
    assert all(float(parameters[name].grad.abs().sum()) > 0 for name in moving if ".lora_B." in name)
    assert check_model(model.config, ALGORITHM).moving == sum(p.numel() for p in parameters.values())
    assert len(model.eval().generate(batch.images, ("generic",)).reports) == 2
    assert f"| {row(family, model)} |" in text(f"docs/{PAGE.name}"), "python -m tests.models.families renews the page"


@pytest.mark.parametrize("family", ENCODERS, ids=lambda family: family.name)
def test_an_encoder(family: Family, tmp_path: Path) -> None:
    encoder = load(family, tmp_path)
    assert isinstance(encoder, HuggingFaceEncoder)
    assert encoder.extra == family.extra
    images = films(3, SIDE)
    features = encoder.eval()(images)
    assert features.shape == (3, family.patches, encoder.width)
    assert features.equal(encoder(images)), "the same film has other features"
    assert features[:1].allclose(encoder(images[:1]), atol=1e-5), "a film's features depend on its batch"
    features.square().sum().backward()
    without = {name for name, parameter in encoder.named_parameters() if parameter.grad is None}
    assert without == encoder.unused
    assert f"| {row(family, encoder)} |" in text(f"docs/{PAGE.name}"), "python -m tests.models.families renews the page"


def test_targets_of_lora(tmp_path: Path) -> None:
    model = load(LANGUAGE_MODELS[8], tmp_path)
    assert isinstance(model, ReportModel)
    assert targets_of(model.lm, ("all-linear",)) == ("c_attn", "c_fc", "c_proj")
    assert targets_of(model.lm, ("c_fc",)) == ("c_fc",)
    with pytest.raises(ConfigError, match=r"'q_proj' is no layer of this model. Linear layers: c_attn, c_fc, c_proj."):
        targets_of(model.lm, ("q_proj",))


def test_a_prompt_longer_than_the_positions(tmp_path: Path) -> None:
    path = save(LANGUAGE_MODELS[8], tmp_path)
    config = toy_config("fedmrg", f"lm={path}", "max_tokens=96", "image_size=64").model
    with pytest.raises(ConfigError, match=r"has 128 positions, but 16 patches, \d+ .*: lower model.max_tokens"):
        ReportModel(config, get_language_model(config.lm).tokenizer(config, path))


def test_a_begin_token_that_is_asked_for(tmp_path: Path) -> None:
    paths = [save(family, tmp_path / family.name) for family in LANGUAGE_MODELS[:2]]
    tokenizer = get_language_model("").tokenizer
    config = toy_config("fedmrg", f"lm={paths[0]}", "begin=no").model
    assert tokenizer(config, paths[0]).begin is None
    with pytest.raises(ConfigError, match=r"model.begin = yes, but the tokenizer of lm=.* has no begin token"):
        tokenizer(replace(config, lm=str(paths[1]), begin="yes"), paths[1])


def test_films_have_the_size_of_the_encoder_unless_one_is_set(tmp_path: Path) -> None:
    path = save(ENCODERS[0], tmp_path)
    assert settings.load("fedavg", overrides=[f"encoder={path}"]).model.image_size == SIDE
    assert settings.load("fedavg", overrides=[f"encoder={path}", "image_size=48"]).model.image_size == 48
    assert settings.load("fedavg").model.image_size == 64
    other = build_encoder(replace(toy_config("fedavg").model, encoder=str(path), image_size=48, max_patches=16))
    assert other(films(2, 48)).shape == (2, 16, 16), "36 patches, averaged down to 16"


def test_a_tokenizer_without_a_fast_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(LANGUAGE_MODELS[0], tmp_path)
    config = toy_config("fedmrg", f"lm={path}").model
    fast = get_language_model(config.lm).tokenizer(config, path)
    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.backend_tokenizer", None)
    slow = get_language_model(config.lm).tokenizer(config, path)
    assert slow.vocab_size == fast.vocab_size
    assert slow.batch(TEXTS)[0].equal(fast.batch(TEXTS)[0])
    assert [slow.decode(row.tolist()) for row in slow.batch(TEXTS)[0]] == TEXTS
