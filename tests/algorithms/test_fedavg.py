"""FedAvg on the stub, whose gradient is the parameter minus the batch's mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm, ServerState, Update
from tests.stub import POINTS, E, StubRun, W, means

ONE_STEP = {"rounds": 1, "local_steps": 1, "batch_size": 8, "lr": 0.5}


def test_one_step_of_each_client_is_one_step_on_all_their_studies() -> None:
    """From 0 client k ends at lr x mean_k; weighted by n_k that is lr x the mean of all studies."""
    run = StubRun(Algorithm(), ONE_STEP)
    every = torch.tensor([point for own in POINTS.values() for point in own]).mean(dim=0)
    torch.testing.assert_close(run.server.params[E], 0.5 * every)
    torch.testing.assert_close(run.server.params[W], (0.5 * every).expand(3, 2))


def test_with_one_client_it_is_plain_training() -> None:
    run = StubRun(Algorithm(), points={"h01": POINTS["h01"]})
    for name, tensor in run.server.params.items():
        torch.testing.assert_close(tensor, run.worker.moving[name].detach())


@dataclass(frozen=True)
class Uniform(Algorithm):
    weighting: ClassVar[Literal["size", "uniform"]] = "uniform"


def test_uniform_weighting_counts_every_client_once() -> None:
    run = StubRun(Uniform(), ONE_STEP)
    torch.testing.assert_close(run.server.params[E], 0.5 * torch.stack(list(means().values())).mean(dim=0))


@dataclass(frozen=True)
class Median(Algorithm):
    """The coordinate-wise median of the deltas, which needs them all."""

    needs_all: ClassVar[bool] = True

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        assert isinstance(updates, list)
        deltas = [update.payload["delta"] for update in updates]
        return self.server_step(server, {n: torch.stack([d[n] for d in deltas]).median(dim=0)[0] for n in deltas[0]})


def test_a_rule_that_needs_all_updates_gets_a_list() -> None:
    assert StubRun(Median(), ONE_STEP).server.params[E].tolist() == [0.0, 0.5]


@dataclass(frozen=True)
class Noise(Algorithm):
    """Adds noise to the mean."""

    def aggregate(self, server: ServerState, updates: Iterable[Update], rng: np.random.Generator) -> ServerState:
        server = super().aggregate(server, updates, rng)
        return server.moved({n: t + float(rng.normal()) for n, t in server.params.items()})


@pytest.mark.parametrize("rounds", [1, 2])
def test_noise_is_drawn_from_the_seed_and_the_round(rounds: int) -> None:
    runs = [StubRun(Noise(), {"rounds": rounds, "lr": 0.0}, seed=seed).server.params[E] for seed in (0, 0, 1)]
    assert runs[0].equal(runs[1])
    assert not runs[0].equal(runs[2])
    if rounds == 2:
        first = StubRun(Noise(), {"rounds": 1, "lr": 0.0}).server.params[E]
        assert not torch.allclose(runs[0] - first, first), "both rounds drew the same noise"
