"""Shapes and types at the model's seams, for every registered encoder and language model and for checkpoints."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fedmrg_core.engine.base_cache import ensure_base
from fedmrg_core.models.registry import build_encoder, encoder_names, language_model_names
from fedmrg_core.models.report_model import Batch, DecoderOutput, Generation, ReportModel, VisionOutput, build_model
from fedmrg_core.models.tuning import FULL, Tuning
from tests.toy import toy_config

FILMS = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
REPORTS = ["The heart is normal in size.", "No pneumothorax.", ""]
STATES = torch.randint(0, 4, (3, 14), generator=torch.Generator().manual_seed(1))


def corpus() -> Any:
    """A public corpus of three reports, for a tokenizer without warm-up."""
    studies = [SimpleNamespace(report=report) for report in REPORTS]
    return SimpleNamespace(fingerprint=lambda: "three reports", studies=lambda: studies)


def built(cache: Path, *overrides: str, diagnosis: bool = True, tuning: Tuning = FULL) -> ReportModel:
    steps = ("warmup_steps=0", "warmup_vision_steps=0", "warmup_prompt_steps=0")
    config = toy_config("fedavg", *overrides, *steps).model
    model = build_model(config, ensure_base(config, corpus(), 0, cache, progress=False), 0)
    model.tune(tuning, ("generic",), diagnosis, 0)
    return model.eval()


def batch_for(model: ReportModel) -> Batch:
    return Batch(FILMS, *model.tokenizer.batch(REPORTS), STATES)


def check(model: ReportModel, patches: int, width: int, hidden: int, vocabulary: int) -> None:
    """Every output of encode, decode and generate has the shape and type that its docstring gives."""
    batch = batch_for(model)
    length = batch.tokens.shape[1]
    vision = model.encode(FILMS)
    assert isinstance(vision, VisionOutput)
    assert vision.patches.shape == (3, patches, width)
    assert vision.mean.shape == (3, width)
    assert vision.prefix.shape == (3, patches, hidden)
    assert vision.diagnosis is not None
    assert vision.diagnosis.shape == (3, 14, 4)
    out = model.decode(batch, vision.prefix, model.prompts(STATES))
    assert isinstance(out, DecoderOutput)
    assert out.logits.shape == (3, length, vocabulary)
    assert out.hidden.shape == (3, length, hidden)
    assert out.loss.shape == ()
    floats = (vision.patches, vision.mean, vision.prefix, vision.diagnosis, out.logits, out.hidden, out.loss)
    assert {tensor.dtype for tensor in floats} == {torch.float32}
    made = model.generate(FILMS, ("generic",))
    assert isinstance(made, Generation)
    assert [type(report) for report in made.reports] == [str] * 3
    assert made.head is not None
    assert made.head.shape == (3, 14, 4)
    assert made.head.sum(dim=-1).allclose(torch.ones(3, 14))


def test_the_tiny_model(toy_cache: Path) -> None:
    model = built(toy_cache)
    check(model, patches=16, width=16, hidden=32, vocabulary=model.tokenizer.vocab_size)


def test_without_a_diagnosis_branch_there_are_no_diagnoses(toy_cache: Path) -> None:
    model = built(toy_cache, diagnosis=False)
    assert model.encode(FILMS).diagnosis is None
    assert model.generate(FILMS, ("generic",)).head is None


def test_a_vit_and_a_language_model_from_checkpoints(
    toy_cache: Path, vit_checkpoint: Path, language_checkpoint: Path
) -> None:
    model = built(toy_cache, f"encoder={vit_checkpoint}", f"lm={language_checkpoint}")
    check(model, patches=16, width=32, hidden=32, vocabulary=model.tokenizer.vocab_size)


def test_a_resnet_map_becomes_patches(toy_cache: Path, resnet_checkpoint: Path) -> None:
    model = built(toy_cache, f"encoder={resnet_checkpoint}")
    check(model, patches=64, width=16, hidden=32, vocabulary=model.tokenizer.vocab_size)


def test_tokens_end_with_the_end_token_and_are_cut(toy_cache: Path) -> None:
    tokenizer = built(toy_cache).tokenizer
    tokens, mask = tokenizer.batch([*REPORTS, "word " * 100])
    assert tokens.dtype == torch.int64
    assert mask.dtype == torch.bool
    assert tokens.shape == mask.shape == (4, 24)
    assert [row[keep][-1].item() for row, keep in zip(tokens, mask, strict=True)] == [tokenizer.end] * 4
    assert [tokenizer.decode(row.tolist()) for row in tokens[:3]] == REPORTS
    assert set(tokens[~mask].tolist()) == {tokenizer.pad}


@pytest.mark.parametrize("name", encoder_names())
def test_every_registered_encoder(name: str) -> None:
    config = toy_config("fedavg", f"encoder={name}").model
    encoder = build_encoder(config)
    features = encoder(FILMS)
    assert features.dtype == torch.float32
    assert features.shape[::2] == (3, encoder.width)
    features.square().sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []
    assert encoder.eval()(FILMS[:1]).allclose(encoder(FILMS)[:1], atol=1e-5), "a film's features depend on its batch"


@pytest.mark.parametrize("name", language_model_names())
def test_every_registered_language_model(name: str, toy_cache: Path) -> None:
    model = built(toy_cache, f"lm={name}")
    check(model, patches=16, width=16, hidden=int(model.lm.config.hidden_size), vocabulary=model.tokenizer.vocab_size)
    again = built(toy_cache, f"lm={name}")
    assert all(p.equal(q) for p, q in zip(model.parameters(), again.parameters(), strict=True)), "not seeded"


def test_a_decoder_with_cross_attention_sees_the_film_and_writes_what_a_loop_without_a_cache_writes(
    toy_cache: Path,
) -> None:
    model = built(toy_cache, "lm=cross-attention")
    check(model, patches=16, width=16, hidden=32, vocabulary=model.tokenizer.vocab_size)
    draw = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and name.startswith(("lm.", "connector")):
            torch.nn.init.normal_(parameter, std=0.3, generator=draw)
    read = model.read(FILMS, ("generic",))
    reports = model.write(read).reports
    assert len(set(reports)) == 3
    blind = dataclasses.replace(read, context=read.context[:, 16:], memory={"memory": 0})
    assert model.write(blind).reports != reports
    words, said = model.lm.get_input_embeddings(), torch.zeros(3, 0, dtype=torch.int64)
    with torch.no_grad():
        for _ in range(model.config.max_tokens):
            inputs = torch.cat([read.context, words(said)], dim=1)
            scores = model.lm(inputs_embeds=inputs, use_cache=False, **read.memory).logits[:, -1]
            said = torch.cat([said, scores.argmax(dim=-1, keepdim=True)], dim=1)
    ends = [row.index(model.tokenizer.end) if model.tokenizer.end in row else None for row in said.tolist()]
    whole = [model.tokenizer.decode(row[:end]) for row, end in zip(said.tolist(), ends, strict=True)]
    assert whole == reports
