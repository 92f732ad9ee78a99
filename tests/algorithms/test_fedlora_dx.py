"""FedLoRA-dx: the diagnosis loss, the prompts it trains with, and how reports follow them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.fedlora_dx import diagnosis_cross_entropy, training_prompts
from fedmrg_core.engine.worker import Worker
from fedmrg_core.models.report_model import Batch, ReportModel
from tests.toy import Run, same, toy_spec


@pytest.fixture(name="worker")
def _worker(toy_cache: Path) -> Worker:
    return Worker(toy_spec(toy_cache, "fedlora-dx", "prompt_from_head=0"))


def test_without_its_weight_the_head_stays_as_the_base_has_it(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedlora-dx", "train.rounds=1", dx_weight=0.0))
    assert same(run.initial, run.server, ["dx_head.weight", "dx_head.bias"])
    assert not same(run.initial, run.server, ["dx_prompts.weight"])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_training_prompts_come_from_labels_or_from_the_head(toy_cache: Path, share: float) -> None:
    worker = Worker(toy_spec(toy_cache, "fedlora-dx", f"prompt_from_head={share}"))
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])
    vision = worker.model.encode(batch.images)
    assert vision.diagnosis is not None
    states = vision.diagnosis.argmax(dim=-1) if share else batch.states
    assert not vision.diagnosis.argmax(dim=-1).equal(batch.states)
    assert training_prompts(worker.model, vision, batch.states).equal(worker.model.prompts(states))


def test_diagnosis_loss_adds_log_p_to_the_positive_logit_only() -> None:
    logits = torch.randn(2, 14, 4, generator=torch.Generator().manual_seed(5))
    states = torch.randint(0, 4, (2, 14), generator=torch.Generator().manual_seed(6))
    prior = torch.linspace(0.01, 0.9, 14)
    shifted = logits.clone()
    shifted[..., 1] += prior.log()
    expected = -torch.log_softmax(shifted, -1).gather(-1, states[..., None]).mean()
    assert float(diagnosis_cross_entropy(logits, states, prior)) == pytest.approx(float(expected), rel=1e-6)


def _randomise(model: ReportModel) -> None:
    """So that words differ and prompts matter."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("dx_prompts", "dx_head", "lm.")) and "norm" not in name and "embed" not in name:
                parameter.normal_(generator=draw)


@pytest.mark.parametrize("prompt_weight", [0.0, 1.0, 1.5])
def test_each_word_is_the_likeliest_under_contrastive_decoding(
    worker: Worker, prompt_weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = worker.model.eval(), worker.model.tokenizer
    _randomise(model)
    written: list[list[int]] = []
    monkeypatch.setattr(tokenizer, "decode", lambda row: written.append(row) or "")
    images = worker.images(worker.federation.hospitals[0].rows["train"][:4])
    made = model.generate(images, ("generic",), prompt_weight=prompt_weight)
    assert made.head is not None
    tokens, states = torch.tensor(written), made.head.argmax(dim=-1)
    ended = (tokens == tokenizer.end).cumsum(dim=1)
    assert made.cut == [not row[-1] for row in ended.tolist()]
    batch = Batch(images, tokens, (ended == 0) | (ended.diff(prepend=torch.zeros(4, 1)) == 1), states)
    prefix = model.encode(images).prefix
    said, blank, none = (
        model.decode(batch, prefix, prompts).logits.log_softmax(dim=-1)
        for prompts in (model.prompts(states), model.prompts(torch.zeros_like(states)), None)
    )
    likeliest = (none if prompt_weight == 0 else blank + prompt_weight * (said - blank)).argmax(dim=-1)
    assert likeliest[batch.mask].equal(tokens[batch.mask])
    others = {0.0: said, 1.0: none, 1.5: said}[prompt_weight].argmax(dim=-1)
    assert not others[batch.mask].equal(tokens[batch.mask]), "the prompt changes nothing"


@pytest.mark.parametrize("prompt_weight", [0.0, 1.0, 1.5])
def test_the_likelihood_of_a_reference_is_that_of_the_words_as_generation_weighs_them(
    worker: Worker, prompt_weight: float
) -> None:
    model = worker.model.eval()
    _randomise(model)
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:4])
    nats = model.reference_nll(batch, model.read(batch.images, ("generic",), prompt_weight=prompt_weight))
    with torch.no_grad():
        vision = model.encode(batch.images)
        assert vision.diagnosis is not None
        states = vision.diagnosis.argmax(dim=-1)
        said, blank, none = (
            model.decode(batch, vision.prefix, prompts).logits.log_softmax(dim=-1)
            for prompts in (model.prompts(states), model.prompts(torch.zeros_like(states)), None)
        )
    p = none if prompt_weight == 0 else (blank + prompt_weight * (said - blank)).log_softmax(dim=-1)
    expected = -(p.gather(-1, batch.tokens[..., None]).squeeze(-1) * batch.mask).sum(dim=1)
    assert nats.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert len(set(nats.tolist())) == 4
