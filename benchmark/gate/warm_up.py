"""A warm-up of a few steps, and the numbers that it is compared by.

The runs of the gate start from a shipped base, whose key holds the code of `warmup.py` alone. What that code calls can
change too, and would make other bases: this shows it.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmark.gate.expectations import Numbers
from benchmark.gate.trajectory import norms
from benchmark.run import stages
from fedmrg_core import tree
from fedmrg_core.algorithms.fedlora_dx import diagnosis_cross_entropy
from fedmrg_core.data.source import Source
from fedmrg_core.engine.warmup import build_base
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.report_model import Batch, ReportModel, build_model


def measure_warm_up(config: ModelConfig, draw: int) -> Numbers:
    """How far three steps of each phase move each group of parameters, and the losses on the first studies then."""
    short = replace(config, warmup_studies=64, warmup_vision_steps=3, warmup_prompt_steps=3, warmup_steps=3)
    corpus = stages.public_corpus(short, draw)
    with tempfile.TemporaryDirectory() as folder:
        sha256 = build_base(Path(folder), short, corpus, draw, progress=False)
        after = build_model(short, Path(folder), draw)
        (Path(folder) / "base.safetensors").unlink()
        before = build_model(short, Path(folder), draw)
    moved = norms(tree.subtract(dict(after.state_dict()), dict(before.state_dict())))
    values = {**{f"warm-up/moved/{group}": size for group, size in moved.items()}, **_losses(after.eval(), corpus)}
    return Numbers({}, {"model_sha256": sha256}, [], values)


@torch.no_grad()
def _losses(model: ReportModel, corpus: Source) -> dict[str, float]:
    """Of the reports, with and without prompts, and of the diagnosis head, on the corpus's first studies."""
    studies = corpus.studies()[: model.config.warmup_batch]
    images = np.stack([corpus.image(study, model.config.image_size) for study in studies])
    states = torch.tensor([study.labels for study in studies], dtype=torch.int64)
    batch = Batch(torch.from_numpy(images), *model.tokenizer.batch([study.report for study in studies]), states)
    vision = model.encode(batch.images)
    assert vision.diagnosis is not None
    losses = {
        "report": model.decode(batch, vision.prefix, None).loss,
        "prompted": model.decode(batch, vision.prefix, model.prompts(states)).loss,
        "diagnosis": diagnosis_cross_entropy(vision.diagnosis, states, None),
    }
    return {f"warm-up/loss/{name}": float(loss) for name, loss in losses.items()}
