"""FedLoRA-dx with a local adapter: the shared side is fedlora-dx, the adapter learns what is left, and the whole is
FedMRG without its losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.algorithms.fedlora_dx_local import FedLoRADxLocal
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.tuning import FULL, Tuning
from tests.stub import POINTS, A, B, E, StubRun, means, written
from tests.toy import Run, toy_spec

LORA = Tuning("lora", rank=2, alpha=4.0)
OWN = "specialised"


def test_the_shared_side_is_fedlora_dx_to_the_bit() -> None:
    ours, plain = (StubRun(cls(tuning=LORA, dx_weight=0.0)) for cls in (FedLoRADxLocal, FedLoRADx))
    assert ours.server.params.keys() == plain.server.params.keys()
    assert all(ours.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())
    assert set(ours.private("h01")["personal"]) == {A.format(OWN), B.format(OWN)}


def test_without_fedmrgs_losses_it_is_fedmrg_to_the_bit(toy_cache: Path) -> None:
    ours = Run(toy_spec(toy_cache, "fedlora-dx-local"))
    off = {"form": "stacked", "kd_l2g": 0.0, "kd_g2l": 0.0, "lambda_intra": 0.0, "lambda_inter": 0.0}
    fedmrg = Run(toy_spec(toy_cache, "fedmrg", **off))
    assert params_sha256(ours.server, ours.store) == params_sha256(fedmrg.server, fedmrg.store)


def test_two_rounds_by_hand() -> None:
    """One hospital of mean m, M = [m; m; m], one full step a per round. B starts at 0, so round 1 moves B alone:
    B = a s M A^T for both adapters. In round 2 the path W = s (B_g A_g + B_k A_k) steps by D = s (W - M):
    B_k -= a D A_k^T, A_k -= a B_k^T D."""
    a, s, train = 0.05, 2.0, {"local_steps": 1, "batch_size": 4, "lr": 0.05, "adapter_lr": 0.05}
    run = StubRun(FedLoRADxLocal(tuning=LORA, dx_weight=0.0), train, {"h01": POINTS["h01"]})
    first, target = torch.tensor([[0.3, 0.3], [0.15, -0.15]]), means()["h01"].expand(3, 2)
    b = a * s * target @ first.T
    d = s * (2 * s * b @ first - target)
    own = run.private("h01")["personal"]
    torch.testing.assert_close(own[B.format(OWN)], b - a * d @ first.T)
    torch.testing.assert_close(own[A.format(OWN)], first - a * b.T @ d)


def test_a_hospital_is_scored_with_both_adapters_and_a_new_one_with_the_shared() -> None:
    run = StubRun(FedLoRADxLocal(tuning=LORA, dx_weight=0.0, choose_share=False))
    shared, own, reports = run.server.params, run.private("h02")["personal"], run.reports()
    generic = 2.0 * (shared[B.format("generic")] @ shared[A.format("generic")])
    local = 2.0 * (own[B.format(OWN)] @ own[A.format(OWN)])
    assert reports["unseen", "global", "h09"][0] == written(shared[E], generic)
    assert reports["test", "personal", "h02"][0] == written(shared[E], generic + local)


def test_full_tuning_is_refused() -> None:
    with pytest.raises(ConfigError, match="makes no adapters"):
        FedLoRADxLocal(tuning=FULL)
