"""MOON: without its contrast, and in a first round, it is FedAvg; the contrast and a step of it by hand."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from typing import Any

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.moon import Moon, features, model_contrast
from fedmrg_core.models.report_model import VisionOutput
from tests.stub import E, StubModel, StubRun, StubWorker


class Features(StubModel):
    """The stub whose mean feature is e * x, element by element."""

    def encode(self, images: Tensor) -> VisionOutput:
        return replace(super().encode(images), mean=self.encoder.weight * images)


class FeatureWorker(StubWorker):
    def __init__(self, spec: Any, federation: Any, model: StubModel) -> None:
        super().__init__(spec, federation, Features({E: [1.0, 2.0]}, hasattr(model, "norm")))


def run(algorithm: Algorithm, **train: Any) -> StubRun:
    return StubRun(algorithm, train, worker_class=FeatureWorker)


def test_mu_0_is_fedavg_to_the_bit_and_so_is_round_1() -> None:
    for algorithm, rounds in ((Moon(mu=0.0), 2), (Moon(mu=5.0), 1)):
        plain, ours = run(Algorithm(), rounds=rounds).server.params, run(algorithm, rounds=rounds).server.params
        assert all(plain[name].equal(ours[name]) for name in plain)
    assert not run(Moon(mu=5.0), rounds=2).server.params[E].equal(run(Algorithm(), rounds=2).server.params[E])


def test_equal_models_give_log_2_and_no_gradient() -> None:
    draw = torch.Generator().manual_seed(0)
    z, other = torch.randn(4, 5, generator=draw).requires_grad_(), torch.randn(4, 5, generator=draw)
    loss = model_contrast(z, other, other, 0.5)
    (gradient,) = torch.autograd.grad(loss, z)
    assert loss.item() == pytest.approx(log(2))
    assert gradient.abs().max() == 0


def test_the_contrast_against_its_formula() -> None:
    """cos(z, received) = 1 and cos(z, previous) = 0 and .6: -log(e^(1/T) / (e^(1/T) + e^(c/T)))."""
    z, received = torch.tensor([[2.0, 0.0]] * 2), torch.tensor([[1.0, 0.0]] * 2)
    previous = torch.tensor([[0.0, 3.0], [3.0, 4.0]])
    expected = sum(-log(exp(2) / (exp(2) + exp(2 * c))) for c in (0.0, 0.6)) / 2
    assert float(model_contrast(z, received, previous, 0.5)) == pytest.approx(expected)


@pytest.mark.parametrize("statistic", [False, True])
def test_features_of_another_encoder_leave_the_model_alone(statistic: bool) -> None:
    model, images = Features({E: [1.0, 2.0]}, statistic), torch.tensor([[3.0, 4.0]])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert features(model, {E: torch.tensor([10.0, -1.0])}, images).tolist() == [[30.0, -4.0]]  # type: ignore[arg-type]
    assert all(model.state_dict()[name].equal(tensor) for name, tensor in before.items())


def test_a_step_of_the_second_round_follows_the_contrasts_gradient() -> None:
    """One step a per round: in round 2 each hospital starts from the mean of both, which is what it received, while its
    previous model is its own end of round 1. The contrast's gradient there is torch's."""
    points, a = {"h01": [(1.0, 0.5)] * 2, "h02": [(-1.0, 2.0)] * 2}, 0.1
    train = {"rounds": 2, "local_steps": 1, "lr": a}
    ours = StubRun(Moon(mu=1.0), train, points, worker_class=FeatureWorker).server.params[E]
    plain = StubRun(Algorithm(), train, points, worker_class=FeatureWorker).server.params[E]
    start, pull = torch.tensor([1.0, 2.0]), torch.zeros(2)
    previous = {name: start - a * (start - torch.tensor(own[0])) for name, own in points.items()}
    received = sum(previous.values(), torch.zeros(2)) / 2
    for name, own in points.items():
        x, e = torch.tensor([own[0]]), received.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model_contrast(e * x, received * x, previous[name] * x, 0.5), e)
        pull += gradient / 2
    torch.testing.assert_close(ours, plain - a * pull)
    assert pull.abs().max() > 1e-3


def test_only_the_encoder_is_remembered_and_the_row_shows_the_contrast() -> None:
    moon = run(Moon(), rounds=2)
    assert set(moon.private("h01")["memory:previous"]) == {E}
    assert "contrast" not in moon.logs[0].row
    assert moon.logs[1].row["contrast"] > 0
