"""The base: a tokenizer and warmed-up weights from a public corpus that belongs to no hospital, cached by content.

LoRA on a random frozen base learns nothing, so the tiny "pretrained" model is trained once: encoder, connector,
diagnosis branch and language model, half of the steps with diagnosis prompts. A language model that comes from a
checkpoint is never moved.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.fedlora_dx import diagnosis_cross_entropy, training_prompts
from fedmrg_core.data.source import Source
from fedmrg_core.engine.trainer import build_optimizer, fit
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.language import train_tokenizer
from fedmrg_core.models.report_model import Batch, ReportModel, build_model
from fedmrg_core.models.tuning import FULL
from fedmrg_core.seeding import generator, torch_seed

FORMAT = 1
"""Raised when the recipe below changes: older caches are then passed by."""
DX_WEIGHT = 4.0


def base_key(config: ModelConfig, corpus_fingerprint: str, seed: int) -> str:
    """Content hash of everything that the base depends on."""
    facts = {"format": FORMAT, "model": asdict(config), "corpus": corpus_fingerprint, "seed": seed}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def ensure_base(config: ModelConfig, corpus: Source, seed: int, cache: Path, progress: bool) -> Path:
    """The folder of the base for these settings; built where it is not cached yet, and then complete or not there."""
    target = cache / "bases" / base_key(config, corpus.fingerprint(), seed)
    if (target / "base.json").exists():
        return target
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    _build(temporary, config, corpus, seed, progress)
    if target.exists():  # another process was first: both built the same bits
        shutil.rmtree(temporary)
    else:
        os.replace(temporary, target)
    return target


def _build(folder: Path, config: ModelConfig, corpus: Source, seed: int, progress: bool) -> None:
    from safetensors.torch import save_file

    studies = corpus.studies()
    if config.lm == "tiny":
        train_tokenizer((study.report for study in studies), config.vocab_size).save(str(folder / "tokenizer.json"))
    model = build_model(config, folder, seed)
    if config.warmup_steps:
        torch.set_num_threads(1)
        _warm_up(model, config, corpus, seed, progress)
        moved = {n: t for n, t in model.state_dict().items() if config.lm == "tiny" or not n.startswith("lm.")}
        save_file(tree.clone({n: t for n, t in moved.items() if n != "lm.lm_head.weight"}), folder / "base.safetensors")
    facts = {"seed": seed, "model": asdict(config), "sha256": model_sha256(model), "corpus": corpus.fingerprint()}
    (folder / "base.json").write_text(json.dumps(facts, indent=1))


def _warm_up(model: ReportModel, config: ModelConfig, corpus: Source, seed: int, progress: bool) -> None:
    """Train the base; deterministic for a seed on one thread."""
    from tqdm import tqdm

    model.tune(FULL, (), diagnosis=True, seed=seed)
    model.lm.requires_grad_(config.lm == "tiny")
    model.train()
    trainable = list(model.trainable().values())
    optimizer = build_optimizer([{"params": trainable, "lr": config.warmup_lr}], "adamw", 0.01)
    bar = tqdm(total=config.warmup_steps, desc="warming up the base", unit="step", disable=not progress)

    def on_step(step: int) -> None:
        bar.update()
        for group in optimizer.param_groups:
            group["lr"] = config.warmup_lr * _triangle(step + 1, config.warmup_steps)

    on_step(-1)
    with torch_seed(seed, "warmup"):
        fit(_batches(model, corpus, config, seed), _Loss(model), optimizer, (trainable,), 1.0, on_step)
    bar.close()


def _triangle(step: int, steps: int) -> float:
    """Learning-rate factor: up over the first tenth, then straight down to nearly 0."""
    rise = max(1, steps // 10)
    return min((step + 1) / rise, max(0.02, (steps - step) / max(1, steps - rise)))


class _Loss:
    """Report cross-entropy, with diagnosis prompts at every other step, + 4 x diagnosis cross-entropy."""

    def __init__(self, model: ReportModel) -> None:
        self.model, self.step = model, 0

    def __call__(self, batch: Batch) -> Tensor:
        vision = self.model.see(batch.images)
        assert vision.diagnosis is not None
        self.step += 1
        prompts = training_prompts(self.model, vision, batch.states) if self.step % 2 else None
        reading = self.model.read(batch, vision.prefix, prompts)
        return reading.loss + DX_WEIGHT * diagnosis_cross_entropy(vision.diagnosis, batch.states, None)


def _batches(model: ReportModel, corpus: Source, config: ModelConfig, seed: int) -> Iterator[Batch]:
    studies = corpus.studies()
    images = torch.from_numpy(np.stack([corpus.image(study, config.image_size) for study in studies]))
    states = torch.tensor([study.labels for study in studies], dtype=torch.int64)
    draw = generator(seed, "warmup", "batches")
    order = np.concatenate([draw.permutation(len(studies)) for _ in range(1 + _epochs(config, len(studies)))])
    for step in range(config.warmup_steps):
        rows = order[step * config.warmup_batch : (step + 1) * config.warmup_batch]
        tokens, mask = model.text.batch([studies[row].report for row in rows])
        yield Batch(images[rows], tokens, mask, states[rows])


def _epochs(config: ModelConfig, studies: int) -> int:
    return -(-config.warmup_steps * config.warmup_batch // studies)


def model_sha256(model: ReportModel) -> str:
    """Hash of all weights of a base."""
    return tree.sha256(dict(model.state_dict()))
