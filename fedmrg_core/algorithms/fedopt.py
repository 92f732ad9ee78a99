"""FedOpt: the server takes the clients' mean delta D for a gradient and steps along it with an optimiser of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState, register
from fedmrg_core.codec import STATISTICS
from fedmrg_core.errors import in_range
from fedmrg_core.types import State


@register("fedavgm")
@dataclass(frozen=True)
class FedAvgM(Algorithm):
    """FedAvgM (Hsu et al., 2019, arXiv 1909.06335): the server steps along the mean delta with momentum.

    u = beta u + D, w += server_lr u. beta: 0 is FedAvg; towards 1 the server forgets more slowly. server_lr: 1 is
    FedAvg's; with momentum a server's steps add up to server_lr / (1 - beta) times the deltas. Running statistics are
    averaged as in FedAvg, in all methods of this file.
    """

    server_lr: float = 0.3
    beta: float = 0.7

    def __post_init__(self) -> None:
        in_range("algorithm.server_lr", self.server_lr, 0, above=True)
        in_range("algorithm.beta", self.beta, 0, 1)

    def init_server(self, params: State, num_clients: int) -> ServerState:
        return ServerState(params, {"momentum": tree.zeros_like(params)})

    def server_step(self, server: ServerState, mean_delta: State) -> ServerState:
        momentum = tree.add(mean_delta, server.memory["momentum"], scale=self.beta)
        step = {name: self.server_lr * tensor for name, tensor in momentum.items()}
        return replace(stepped(server, step, mean_delta), memory={"momentum": momentum})


@register("fedadam")
@dataclass(frozen=True)
class FedAdam(Algorithm):
    """FedAdam (Reddi et al., ICLR 2021, arXiv 2003.00295): the server steps along the mean delta with Adam.

    m = beta1 m + (1 - beta1) D, v = beta2 v + (1 - beta2) D^2 from v = tau^2, w += server_lr m / (sqrt(v) + tau),
    without bias correction (their algorithm 2). server_lr: about the length of a server's step in every entry. beta1,
    beta2: 0 forgets at once, towards 1 more slowly. tau: entries of D that are much smaller count in proportion, larger
    ones all alike.
    """

    server_lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def __post_init__(self) -> None:
        in_range("algorithm.server_lr", self.server_lr, 0, above=True)
        in_range("algorithm.beta1", self.beta1, 0, 1)
        in_range("algorithm.beta2", self.beta2, 0, 1)
        in_range("algorithm.tau", self.tau, 0, above=True)

    def init_server(self, params: State, num_clients: int) -> ServerState:
        second = {name: torch.full_like(tensor, self.tau**2) for name, tensor in params.items()}
        return ServerState(params, {"momentum": tree.zeros_like(params), "second": second})

    def server_step(self, server: ServerState, mean_delta: State) -> ServerState:
        first, second = server.memory["momentum"], server.memory["second"]
        m = {name: self.beta1 * first[name] + (1 - self.beta1) * delta for name, delta in mean_delta.items()}
        v = {name: self.second_moment(second[name], delta.square()) for name, delta in mean_delta.items()}
        step = {name: self.server_lr * m[name] / (v[name].sqrt() + self.tau) for name in m}
        return replace(stepped(server, step, mean_delta), memory={"momentum": m, "second": v})

    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        """v after one more squared delta."""
        return self.beta2 * v + (1 - self.beta2) * squared


@register("fedyogi")
@dataclass(frozen=True)
class FedYogi(FedAdam):
    """FedYogi (Reddi et al., ICLR 2021, arXiv 2003.00295): as FedAdam, with a second moment that falls slowly.

    v = v - (1 - beta2) D^2 sign(v - D^2), from v = tau^2.
    """

    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        return v - (1 - self.beta2) * squared * torch.sign(v - squared)


@register("fedadagrad")
@dataclass(frozen=True)
class FedAdagrad(FedAdam):
    """FedAdagrad (Reddi et al., ICLR 2021, arXiv 2003.00295): as FedAdam, with a second moment that only grows.

    v = v + D^2, from v = tau^2; beta1 is 0, as in their experiments.
    """

    beta1: float = 0.0

    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        return v + squared


def stepped(server: ServerState, step: State, mean_delta: State) -> ServerState:
    """The server moved by `step`, its running statistics by the mean delta."""
    plain = {name: tensor for name, tensor in mean_delta.items() if name.endswith(STATISTICS)}
    return server.moved(tree.add(server.params, {**step, **plain}))
