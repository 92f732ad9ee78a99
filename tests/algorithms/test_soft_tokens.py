"""Soft tokens: prompt tuning sends them, fedblip-style keeps them and has a loss more; without both is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fed_prompt import FedPrompt
from fedmrg_core.algorithms.fedblip_style import FedBLIPStyle, style_loss
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.tuning import LORA, Tuning
from tests.stub import E, StubRun
from tests.toy import Run, toy_spec


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        (FedPrompt(tokens=0), Algorithm(Tuning("frozen"))),
        (FedBLIPStyle(tokens=0, style_weight=0.0, dx_weight=0.0), FedLoRADx(dx_weight=0.0)),
    ],
)
def test_without_tokens_and_weight_it_is_the_plain_method_to_the_bit(ours: Algorithm, plain: Algorithm) -> None:
    """A step on the stub by hand, too: e, the encoder, ends at the weighted mean of a m_k, a (8 - 4, 4 + 4 - 4) / 7."""
    train = {"rounds": 1, "local_steps": 1, "batch_size": 4}
    one, two = StubRun(ours, train).server.params, StubRun(plain, train).server.params
    assert one.keys() == two.keys()
    assert all(one[name].equal(tensor) for name, tensor in two.items())
    torch.testing.assert_close(one[E], 0.1 * torch.tensor([4.0, 4.0]) / 7)


def test_tokens_travel_in_prompt_tuning(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fed-prompt"))
    assert not any(name.startswith("lm.") for name in run.server.params)
    moved = run.server.params["soft_tokens.weight"] - run.initial.params["soft_tokens.weight"]
    assert moved.shape == (16, 32)
    assert moved.abs().max() > 0


def test_tokens_stay_in_fedblip_style_and_centres_travel(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedblip-style"))
    assert run.worker.personal_names() == ["soft_tokens.weight"]
    centres = run.server.memory["centres"]
    assert len(centres) == len(run.logs[0].row["clients"])
    assert all(float(centre.norm()) == pytest.approx(1, abs=1e-5) for centre in centres.values())
    assert run.logs[1].row["style"] > 0


def test_tokens_follow_the_films_in_training_and_generation(toy_cache: Path) -> None:
    worker = Worker(toy_spec(toy_cache, "fed-prompt"))
    batch = worker.batch(worker.federation.hospitals[0].rows["train"][:2])
    prefix = worker.model.encode(batch.images).prefix
    assert prefix[:, -16:].equal(worker.model.get_parameter("soft_tokens.weight").expand(2, -1, -1))
    before = worker.model.eval().reference_nll(batch, worker.model.read(batch.images, ()))
    draw = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(worker.model.get_parameter("soft_tokens.weight"), std=5.0, generator=draw)
    assert not worker.model.reference_nll(batch, worker.model.read(batch.images, ())).equal(before)


def test_the_style_loss_by_hand() -> None:
    """.5 (.9 - .6) = .15 for the own centre; others at cosine 0 cost nothing, at .8 they cost .5 (.5 - .2)^2 / 2."""
    c, own = torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])
    far, near = torch.tensor([0.0, 1.0]), torch.tensor([0.8, 0.6])
    assert float(style_loss(c, own, [])) == pytest.approx(0.15)
    assert float(style_loss(c, own, [far, near])) == pytest.approx(0.15 + 0.0225)
    assert float(style_loss(c, c, [far])) == 0


def test_prompt_tuning_takes_no_adapters() -> None:
    with pytest.raises(ConfigError, match="in place of the language model"):
        FedPrompt(LORA)
