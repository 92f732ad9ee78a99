"""FedDPA: the shared side is fedlora with uniform weights; the local adapter never touches it, and counts by film."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from fedmrg_core.algorithms.feddpa import FedDPA, FedDPAF
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.models.tuning import Tuning
from tests.stub import POINTS, A, B, E, StubRun, means, numbers, written

LORA = Tuning("lora", rank=2, alpha=4.0)
FIRST = torch.tensor([[0.3, 0.3], [0.15, -0.15]])
OWN = A.format("specialised"), B.format("specialised")


@dataclass(frozen=True)
class Uniform(FedLoRA):
    """fedlora, each hospital alike."""

    weighting = "uniform"


@pytest.mark.parametrize("algorithm", [FedDPA(LORA), FedDPAF(LORA)])
def test_the_shared_side_is_fedlora_with_uniform_weights_to_the_bit(algorithm: FedDPA) -> None:
    ours, plain = StubRun(algorithm, {"rounds": 3}), StubRun(Uniform(LORA), {"rounds": 3})
    assert ours.server.params.keys() == plain.server.params.keys()
    assert all(ours.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())
    assert {row["group"] for log in ours.logs for row in log.ledger} <= {"shared", "delta"}


def test_two_rounds_by_hand() -> None:
    """The local adapter rests in round 1, in which the shared B becomes b = a s M A^T. In round 2 the path is s (B_g
    A_g + B_k A_k) / 2 with B_k = 0, of which B_k gets half the gradient: B_k = a s (M - s b A / 2) A^T / 2. Then the
    shared one steps, alone."""
    a, s, train = 0.05, 2.0, {"local_steps": 1, "batch_size": 4, "adapter_lr": 0.05}
    run, target = StubRun(FedDPA(LORA), train, {"h01": POINTS["h01"]}), means()["h01"].expand(3, 2)
    b = a * s * target @ FIRST.T
    own = run.private("h01")["personal"]
    torch.testing.assert_close(own[OWN[1]], a * s * (target - s * b @ FIRST / 2) @ FIRST.T / 2)
    assert own[OWN[0]].equal(FIRST)
    assert [log.row["steps"] for log in run.logs] == [1, 2]


def test_each_film_is_written_by_its_own_weights_averaged_as_outputs() -> None:
    """s (1 - w) B_g A_g + s w B_k A_k. Public code averages the factors instead. On the stub a film's feature is
    itself, and the test films (1, 1) and (2, 2) have one direction."""
    run = StubRun(FedDPA(LORA, samples=2))
    params, private, reports = run.server.params, run.private("h02"), run.reports()
    features = private["memory:samples"]["features"]
    assert features.shape == (2, 2)
    w = 0.5 * (F.normalize(torch.ones(1, 2)) @ F.normalize(features, dim=1).T).mean().clamp(0, 1)
    shared = 2.0 * params[B.format("generic")] @ params[A.format("generic")]
    local = 2.0 * private["personal"][OWN[1]] @ private["personal"][OWN[0]]
    expected = written(params[E], (1 - w) * shared + w * local)
    for report in reports["test", "personal", "h02"]:
        torch.testing.assert_close(numbers(report), numbers(expected))
    assert reports["unseen", "global", "h09"][0] == written(params[E], shared)


def test_before_its_second_round_a_hospital_is_scored_with_the_shared_adapter() -> None:
    reports = StubRun(FedDPA(LORA), {"rounds": 1}).reports()
    assert reports["test", "personal", "h01"] == reports["test", "global", "h01"]


def test_feddpa_f_trains_its_local_adapter_after_the_last_round() -> None:
    run = StubRun(FedDPAF(LORA, epochs=2))
    assert len(run.logs) == 3
    assert all(run.private(client)["personal"][OWN[1]].abs().max() > 1e-3 for client in POINTS)


def test_a_new_hospital_adapts_its_local_adapter() -> None:
    reports = StubRun(FedDPA(LORA), unseen=[(1.0, 3.0), (2.0, 0.0)]).reports(adapt=(2,), adapt_steps=3)
    assert reports["unseen", "adapted2", "h09"] != reports["unseen", "global", "h09"]
