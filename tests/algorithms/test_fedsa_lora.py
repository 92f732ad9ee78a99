"""FedSA-LoRA: no B travels or reaches another hospital, and alone it is LoRA."""

from __future__ import annotations

import torch

from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.fedsa_lora import FedSALoRA
from fedmrg_core.models.tuning import Tuning
from tests.stub import POINTS, A, B, E, StubRun, means, written

LORA = Tuning("lora", rank=2, alpha=4.0)
FIRST = torch.tensor([[0.3, 0.3], [0.15, -0.15]])
NAME_A, NAME_B = A.format("generic"), B.format("generic")


def test_no_b_travels() -> None:
    run = StubRun(FedSALoRA(LORA))
    assert set(run.server.params) == {E, NAME_A}
    assert {row["group"] for log in run.logs for row in log.ledger} == {"shared", "delta"}
    assert run.logs[0].row["upload_bytes"] == 3 * (run.server.params[E].nbytes + FIRST.nbytes)


def test_one_hospital_alone_is_lora_there() -> None:
    only = {"h01": POINTS["h01"]}
    ours, lora = StubRun(FedSALoRA(LORA), points=only), StubRun(FedLoRA(LORA), points=only)
    torch.testing.assert_close(ours.server.params[NAME_A], lora.server.params[NAME_A])
    torch.testing.assert_close(ours.private("h01")["personal"][NAME_B], lora.server.params[NAME_B])


def test_two_rounds_by_hand() -> None:
    """Full steps a from B = 0. Round 1 moves B alone: B_k = a s M_k A^T. In round 2, with D_k = s (s B_k A - M_k),
    B_k -= a D_k A^T and A -= a sum p_k B_k^T D_k. No hospital sees another's B."""
    a, s, train = 0.05, 2.0, {"local_steps": 1, "batch_size": 4, "adapter_lr": 0.05}
    run, mean_a = StubRun(FedSALoRA(LORA), train), FIRST.clone()
    for client, mean in means().items():
        b = a * s * mean.expand(3, 2) @ FIRST.T
        d = s * (s * b @ FIRST - mean.expand(3, 2))
        torch.testing.assert_close(run.private(client)["personal"][NAME_B], b - a * d @ FIRST.T)
        mean_a -= len(POINTS[client]) / 7 * a * b.T @ d
    torch.testing.assert_close(run.server.params[NAME_A], mean_a)


def test_a_hospital_is_scored_with_its_own_b_and_a_new_one_with_the_base() -> None:
    """Public code tests the last hospital's B at all of them."""
    run = StubRun(FedSALoRA(LORA))
    shared, reports = run.server.params, run.reports()
    for client in POINTS:
        matrix = run.worker.model.matrix(())
        matrix = matrix + 2.0 * (run.private(client)["personal"][NAME_B] @ shared[NAME_A])
        assert reports["test", "personal", client][0] == written(shared[E], matrix)
    assert reports["unseen", "global", "h09"][0] == written(shared[E], torch.zeros(3, 2))
