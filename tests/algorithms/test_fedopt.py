"""FedOpt: the settings under which each rule is FedAvg, and the server's steps worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.algorithms.fedopt import FedAdagrad, FedAdam, FedAvgM, FedYogi
from fedmrg_core.types import State
from tests.stub import STATISTIC, E, StubRun


def test_momentum_0_is_fedavg_to_the_bit() -> None:
    plain = StubRun(Algorithm()).server.params
    ours = StubRun(FedAvgM(server_lr=1.0, beta=0.0)).server.params
    assert all(plain[name].equal(ours[name]) for name in plain)


@pytest.mark.parametrize("rule", [FedAdagrad, FedAdam, FedYogi])
def test_a_large_tau_at_twice_its_rate_is_fedavg(rule: type[FedAdam]) -> None:
    """v stays tau^2, so that the step is server_lr D / (2 tau)."""
    plain = StubRun(Algorithm()).server.params
    ours = StubRun(rule(server_lr=2e4, beta1=0.0, beta2=1.0, tau=1e4)).server.params
    torch.testing.assert_close(ours, plain)


def steps(algorithm: Algorithm, *deltas: float) -> list[float]:
    """The server's parameter after each of these mean deltas, from 0."""
    server, found = algorithm.init_server({"w": torch.zeros(1)}, 3), []
    for delta in deltas:
        server = algorithm.server_step(server, {"w": torch.tensor([delta])})
        found.append(float(server.params["w"]))
    return found


def test_two_steps_of_momentum_by_hand() -> None:
    """u1 = 4, u2 = -2 + 0.5 x 4 = 0."""
    assert steps(FedAvgM(server_lr=0.5, beta=0.5), 4.0, -2.0) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("rule", "v1", "v2"),
    [(FedAdagrad, 17.0, 21.0), (FedAdam, 0.75 * 1 + 0.25 * 16, 0.75 * 4.75 + 0.25 * 4), (FedYogi, 1 + 4.0, 5 - 1.0)],
)
def test_two_adaptive_steps_by_hand(rule: type[FedAdam], v1: float, v2: float) -> None:
    """D = 4 then -2, beta1 = .5, beta2 = .75, tau = 1, v0 = 1: m1 = 2, m2 = 0.5 x 2 - 1 = 0 (no second step). Yogi's v
    rises towards 16 by .25 x 16, then falls from 5 towards 4 by .25 x 4."""
    algorithm = rule(server_lr=0.1, beta1=0.5, beta2=0.75, tau=1.0)
    first = 0.1 * 2 / (v1**0.5 + 1)
    assert steps(algorithm, 4.0, -2.0) == pytest.approx([first, first])
    m2 = 0.5 * 2 + 0.5 * 2
    assert steps(algorithm, 4.0, 2.0)[1] == pytest.approx(first + 0.1 * m2 / (v2**0.5 + 1))


@pytest.mark.parametrize("algorithm", [FedAvgM(), FedAdam()])
def test_running_statistics_are_averaged_as_in_fedavg(algorithm: Algorithm) -> None:
    plain, ours = (StubRun(a, statistic=True).server.params for a in (Algorithm(), algorithm))
    assert ours[STATISTIC].equal(plain[STATISTIC])
    assert not ours[E].equal(plain[E])


def test_the_moments_belong_to_the_servers_state() -> None:
    def moments(server: ServerState) -> tuple[Tensor, Tensor]:
        state: State = server.tensors()
        return state[f"memory/momentum/{E}"], state[f"memory/second/{E}"]

    run = StubRun(FedAdam(), {"rounds": 1})
    momentum, second = moments(run.server)
    delta = StubRun(Algorithm(), {"rounds": 1}).server.params[E]
    torch.testing.assert_close(momentum, 0.1 * delta)
    torch.testing.assert_close(second, 0.99e-6 + 0.01 * delta.square())
