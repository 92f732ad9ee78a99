"""FedBN: without a normalisation it is FedAvg; layers are told by type, and what stays trains alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.fedbn import FedBN
from tests.stub import POINTS, STATISTIC, E, StubModel, StubRun, StubWorker, W, means, written
from tests.toy import Run, same, toy_spec


class Norm(nn.Module):
    """A normalisation by its type."""


class NormWorker(StubWorker):
    """The stub whose vector e is a normalisation's."""

    def __init__(self, spec: Any, federation: Any, model: StubModel) -> None:
        model.encoder.__class__ = Norm
        super().__init__(spec, federation, model)


def test_without_a_normalisation_it_is_fedavg_to_the_bit(toy_cache: Path) -> None:
    """On the stub, and with the small encoder, which has no batch normalisation."""
    for layers in ("all", "batch"):
        ours, plain = StubRun(FedBN(layers=layers)).server, StubRun(Algorithm()).server
        assert same(plain, ours)
    assert same(Run(toy_spec(toy_cache, "fedavg")).server, Run(toy_spec(toy_cache, "fedbn", layers="batch")).server)


def test_every_normalisation_stays_home_whatever_its_name(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedbn", "train.rounds=0"))
    kinds = {type(run.worker.model.get_submodule(n.rpartition(".")[0])).__name__ for n in run.worker.personal_names()}
    assert kinds == {"GroupNorm", "LlamaRMSNorm"}
    model = nn.ModuleDict({"downsample": nn.Sequential(nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8)), "bn": nn.Linear(2, 2)})
    names = [*dict(model.named_parameters()), "downsample.1.running_mean"]
    assert FedBN(layers="batch").shared_names(model, names) == [
        "downsample.0.weight", "downsample.0.bias", "bn.weight", "bn.bias",
    ]  # fmt: skip


def test_two_rounds_by_hand() -> None:
    """One full-batch step a per round from e0 = 0: a hospital's e is (1 - (1 - a)^2) m_k, as if it were alone."""
    a, train = 0.25, {"local_steps": 1, "batch_size": 4, "lr": 0.25}
    run = StubRun(FedBN(), train, worker_class=NormWorker)
    assert set(run.server.params) == {W}
    assert run.server.params[W].equal(StubRun(Algorithm(), train).server.params[W])
    for client in POINTS:
        own = run.private(client)["personal"][E]
        torch.testing.assert_close(own, (1 - (1 - a) ** 2) * means()[client])
        assert run.reports()["test", "personal", client][0] == written(own, run.server.params[W])


def test_statistics_of_a_normalisation_stay_too() -> None:
    class StatisticWorker(StubWorker):
        def __init__(self, spec: Any, federation: Any, model: StubModel) -> None:
            model.norm.__class__ = Norm
            super().__init__(spec, federation, model)

    run = StubRun(FedBN(), {"rounds": 2}, worker_class=StatisticWorker, statistic=True)
    assert STATISTIC not in run.server.params
    assert float(run.private("h01")["personal"][STATISTIC]) == 8.0  # batches of two rounds
    assert float(run.private("h03")["personal"][STATISTIC]) == 4.0
