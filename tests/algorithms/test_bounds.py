"""The bounds: each differs from fedlora-dx in one thing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.bounds import Centralised, FrozenLM, LocalOnly
from fedmrg_core.algorithms.fedlora import FedLoRA
from fedmrg_core.algorithms.fedlora_dx import FedLoRADx
from fedmrg_core.engine.worker import Worker
from fedmrg_core.errors import ConfigError
from fedmrg_core.models.tuning import FULL, Tuning
from tests.stub import POINTS, A, B, E, StubRun, W, written
from tests.toy import toy_spec

LORA = Tuning("lora", rank=2, alpha=4.0)
GENERIC = {A.format("generic"), B.format("generic")}


def test_local_only_is_each_hospital_alone_and_sends_nothing() -> None:
    run = StubRun(LocalOnly(tuning=LORA, dx_weight=0.0))
    assert run.server.params == {}
    assert {row["bytes"] for log in run.logs for row in log.ledger} == {0}
    for client in POINTS:
        alone = StubRun(FedLoRADx(tuning=LORA, dx_weight=0.0), points={client: POINTS[client]}).server.params
        own = run.private(client)["personal"]
        assert own.keys() == {E, *GENERIC}
        for name, tensor in alone.items():
            torch.testing.assert_close(own[name], tensor)


def test_local_only_gives_a_new_hospital_the_base() -> None:
    run = StubRun(LocalOnly(tuning=FULL, dx_weight=0.0), start={E: [1.0, -1.0]})
    reports, own = run.reports(), run.private("h02")["personal"]
    base = written(torch.tensor([1.0, -1.0]), torch.zeros(3, 2))
    assert reports["unseen", "global", "h09"] == reports["test", "global", "h02"] == [base] * 2
    assert reports["test", "personal", "h02"] == [written(own[E], own[W])] * 2


@pytest.mark.parametrize("tuning", [FULL, LORA])
def test_centralised_is_one_hospital_with_all_studies_to_the_bit(tuning: Tuning) -> None:
    pool = {"pooled": [point for own in POINTS.values() for point in own]}
    run, one = (
        StubRun(Centralised(tuning=tuning, dx_weight=0.0), {"participation": 0.1}),
        StubRun(FedLoRADx(tuning=tuning, dx_weight=0.0), points=pool),
    )
    assert all(run.server.params[name].equal(tensor) for name, tensor in one.server.params.items())
    assert run.logs[0].row["accepted"] == ["pooled"]
    assert run.logs[0].row["studies"] == StubRun(Algorithm()).logs[0].row["studies"], "the federated runs' budget"
    assert set(run.reports()) == {
        ("unseen", "global", "h09"), *(("test", view, c) for c in POINTS for view in ("global", "personal")),
    }  # fmt: skip


def test_one_centralised_step_by_hand() -> None:
    """From 0, one full batch of all studies with step a: e = a x their mean."""
    run = StubRun(Centralised(tuning=FULL, dx_weight=0.0), {"rounds": 1, "local_steps": 1, "batch_size": 8, "lr": 0.5})
    every = torch.tensor([point for own in POINTS.values() for point in own]).mean(dim=0)
    torch.testing.assert_close(run.server.params[E], 0.5 * every)


def test_frozen_lm_trains_the_rest_as_fedlora_dx() -> None:
    """On the stub e and W do not meet in the loss, so that e is the same to the bit."""
    run, whole = (StubRun(cls(tuning=LORA, dx_weight=0.0)) for cls in (FrozenLM, FedLoRADx))
    assert set(run.server.params) == {E}
    assert set(whole.server.params) == {E, *GENERIC}
    assert run.server.params[E].equal(whole.server.params[E])
    assert run.reports()["test", "global", "h01"][0] == written(run.server.params[E], torch.zeros(3, 2))


def test_frozen_lm_refuses_full_tuning() -> None:
    with pytest.raises(ConfigError, match="= full trains the language model"):
        FrozenLM(tuning=FULL)


@pytest.mark.parametrize("method", [LocalOnly, Centralised])
def test_without_diagnosis_they_are_bounds_of_fedlora(method: type[LocalOnly], toy_cache: Path) -> None:
    points = {"h01": POINTS["h01"]}
    run = StubRun(method(tuning=LORA, diagnosis=False), points=points)
    found = run.server.params or run.private("h01")["personal"]
    who = "pooled" if method.pools else "h01"  # its name decides its batches
    plain = StubRun(FedLoRA(tuning=LORA), points={who: POINTS["h01"]}).server.params
    for name, tensor in plain.items():
        torch.testing.assert_close(found[name], tensor)
    worker = Worker(toy_spec(toy_cache, "frozen-lm", diagnosis=False))
    assert {name.split(".")[0] for name in worker.initial} == {"encoder", "connector"}
