"""The base: a tokenizer and warmed-up weights from a public corpus that belongs to no hospital.

LoRA on a random frozen base learns nothing, so the tiny "pretrained" model is trained once, in three phases: to
diagnose images, to write reports from diagnosis prompts, and both together. A language model that comes from a
checkpoint is never trained here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fedmrg_core import tree
from fedmrg_core.algorithms.fedlora_dx import diagnosis_cross_entropy, training_prompts
from fedmrg_core.data.source import Source
from fedmrg_core.engine import warmup_checkpoint
from fedmrg_core.engine.memory.process import configure_process
from fedmrg_core.engine.trainer import batches_of, build_optimizer, fit
from fedmrg_core.models.config import ModelConfig
from fedmrg_core.models.registry import get_language_model
from fedmrg_core.models.report_model import Batch, ReportModel, build_model
from fedmrg_core.models.tokenizer import TOKENIZER_FILE, train_tokenizer
from fedmrg_core.models.tuning import FULL
from fedmrg_core.seeding import generator, torch_seed
from fedmrg_core.types import State

FORMAT = 5
"""Raise it when the recipe below changes, so that cached bases of the old recipe are not used."""
DX_WEIGHT = 4.0
"""Weight of the diagnosis loss beside the report loss."""

_Phase = tuple[str, int, list[nn.Parameter], Callable[[Batch], Tensor]]
"""Name, steps, what is trained, loss."""


def build_base(folder: Path, config: ModelConfig, corpus: Source, seed: int, progress: bool) -> str:
    """Write tokenizer and weights into a folder; returns the hash of all weights. The folder is empty, or what an
    interrupted call with the same arguments left: the base then has the same bits."""
    from safetensors.torch import save_file

    studies = corpus.studies()
    if get_language_model(config.lm).trained_here:
        train_tokenizer((study.report for study in studies), config.vocab_size).save(str(folder / TOKENIZER_FILE))
    model = build_model(config, folder, seed)
    if config.warmup_steps + config.warmup_vision_steps + config.warmup_prompt_steps:
        configure_process()
        _warm_up(model, config, corpus, seed, progress, folder)
        save_file(_trained(model), folder / "base.safetensors")
        warmup_checkpoint.remove(folder)
    return model_sha256(model)


def _trained(model: ReportModel) -> State:
    """A copy of what the warm-up may change: everything but a language model that comes from a checkpoint."""
    own = get_language_model(model.config.lm).trained_here
    return tree.clone(_untied({n: t for n, t in model.state_dict().items() if own or not n.startswith("lm.")}))


def _untied(state: State) -> State:
    """Without the second name of a tensor that has two (an output layer that shares the word embeddings)."""
    names = {(tensor.data_ptr(), tensor.numel()): name for name, tensor in reversed(state.items())}
    return {name: tensor for name, tensor in state.items() if names[tensor.data_ptr(), tensor.numel()] == name}


def _warm_up(
    model: ReportModel, config: ModelConfig, corpus: Source, seed: int, progress: bool, folder: Path
) -> None:
    """Train the base in three phases: encoder and diagnosis head; language model and prompts; everything. Deterministic
    on one thread. `folder` has the weights after the last phase that was completed."""
    model.tune(FULL, (), diagnosis=True, seed=seed)
    model.lm.requires_grad_(get_language_model(config.lm).trained_here)
    model.dx_positions.requires_grad_(True)
    model.train()
    batches = _Corpus(model, corpus, config)

    def diagnosis_loss(batch: Batch) -> Tensor:
        logits = model.diagnose(model.encoder(batch.images).mean(dim=1))
        return diagnosis_cross_entropy(logits, batch.states, None)

    def reading_loss(batch: Batch) -> Tensor:
        asked = model.prompts(batch.states)
        return model.decode(batch, asked[:, :0], asked).loss

    diagnosing = [*model.encoder.parameters(), *model.dx_head.parameters()]
    reading = [p for m in (model.lm, model.dx_prompts, model.dx_positions) for p in m.parameters() if p.requires_grad]
    everything = list(model.trainable().values())
    phases: tuple[_Phase, ...] = (
        ("seeing", config.warmup_vision_steps, diagnosing, diagnosis_loss),
        ("reading", config.warmup_prompt_steps, reading, reading_loss),
        ("reporting", config.warmup_steps, everything, _Loss(model)),
    )
    done = warmup_checkpoint.restore(folder, model, len(phases))
    for number, (name, steps, parameters, loss) in enumerate(phases[done:], done + 1):
        _phase(model, batches, seed, name, steps, parameters, loss, progress)
        warmup_checkpoint.save(folder, number, _trained(model))


def _phase(
    model: ReportModel,
    corpus: _Corpus,
    seed: int,
    name: str,
    steps: int,
    parameters: list[nn.Parameter],
    loss: Callable[[Batch], Tensor],
    progress: bool,
) -> None:
    """`steps` of AdamW; the learning rate rises over the first tenth and then falls linearly to nearly 0."""
    from tqdm import tqdm

    peak = model.config.warmup_lr
    optimizer = build_optimizer([{"params": parameters, "lr": peak}], "adamw", 0.01)
    bar = tqdm(total=steps, desc=f"warming up the base: {name}", unit="step", disable=not progress)

    def on_step(step: int) -> None:
        bar.update(step >= 0)
        for group in optimizer.param_groups:
            group["lr"] = peak * _triangle(step + 1, steps)

    on_step(-1)
    with torch_seed(seed, "warmup", name):
        fit(corpus.batches(seed, name, steps), loss, optimizer, (parameters,), 1.0, on_step)
    bar.close()


def _triangle(step: int, steps: int) -> float:
    rise = max(1, steps // 10)
    return min((step + 1) / rise, max(0.02, (steps - step) / max(1, steps - rise)))


class _Loss:
    """Report cross-entropy + 4 x diagnosis cross-entropy. The decoder gets image and prompt in odd steps, and only the
    image in even ones."""

    def __init__(self, model: ReportModel) -> None:
        self.model, self.step = model, 0

    def __call__(self, batch: Batch) -> Tensor:
        model, self.step = self.model, self.step + 1
        vision = model.encode(batch.images)
        assert vision.diagnosis is not None
        prompts = training_prompts(model, vision, batch.states) if self.step % 2 else None
        loss = model.decode(batch, vision.prefix, prompts).loss
        return loss + DX_WEIGHT * diagnosis_cross_entropy(vision.diagnosis, batch.states, None)


class _Corpus:
    """The public corpus in memory, and batches from as many epochs as needed."""

    def __init__(self, model: ReportModel, corpus: Source, config: ModelConfig) -> None:
        studies = corpus.studies()
        self.tokenizer, self.size = model.tokenizer, config.warmup_batch
        self.reports = [study.report for study in studies]
        self.images = torch.from_numpy(np.stack([corpus.image(study, config.image_size) for study in studies]))
        self.states = torch.tensor([study.labels for study in studies], dtype=torch.int64)

    def batches(self, seed: int, name: str, steps: int) -> Iterator[Batch]:
        lengths = np.array([len(report) for report in self.reports])
        rows, epoch = np.arange(len(self.reports)), 0
        while steps > 0:
            for batch in batches_of(rows, lengths, self.size, generator(seed, "warmup", name, epoch))[:steps]:
                tokens, mask = self.tokenizer.batch([self.reports[row] for row in batch])
                yield Batch(self.images[batch], tokens, mask, self.states[batch])
                steps -= 1
            epoch += 1


def model_sha256(model: ReportModel) -> str:
    """Hash of all weights of a base."""
    return tree.sha256(dict(model.state_dict()))
