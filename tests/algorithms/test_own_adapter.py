"""What a hospital does after the last round: it chooses its own adapter's share, and trains on where its validation
reports become likelier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmrg_core.algorithms._own_adapter import SHARES
from fedmrg_core.algorithms.base import ClientState
from fedmrg_core.algorithms.fedlora_dx_local import FedLoRADxLocal
from fedmrg_core.engine.client import ClientContext
from fedmrg_core.engine.memory.wire import unpack
from fedmrg_core.engine.rounds import params_sha256
from fedmrg_core.models.tuning import Tuning
from tests.stub import POINTS, TRAIN, A, B, E, StubRun, StubWorker, means, written
from tests.toy import Run, same, toy_spec

LOCAL = FedLoRADxLocal(tuning=Tuning("lora", rank=2, alpha=4.0), dx_weight=0.0)
VALIDATION = torch.tensor([[1.0, 1.0], [2.0, 2.0]])


def _product(state: Mapping[str, torch.Tensor], adapter: str) -> torch.Tensor:
    return 2.0 * (state[B.format(adapter)] @ state[A.format(adapter)])


def same_states(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(left[name].equal(tensor) for name, tensor in right.items())


@pytest.mark.parametrize("client", sorted(POINTS))
def test_the_choice_by_hand(client: str) -> None:
    """The stub's loss of a matrix is its distance to the studies: the share of least distance writes the reports."""
    run = StubRun(LOCAL, {"rounds": 4})
    shared, private = run.server.params, run.private(client)
    parts = _product(shared, "generic"), _product(private["personal"], "specialised")
    loss = {s: (parts[0] + s * parts[1] - VALIDATION[:, None]).square().sum() for s in SHARES}
    chosen = min(SHARES, key=lambda share: loss[share])
    assert float(private["memory:own_share"]["share"]) == chosen
    assert run.reports()["test", "personal", client][0] == written(shared[E], parts[0] + chosen * parts[1])


def test_hospitals_choose_differently_and_it_can_be_off() -> None:
    run, off = StubRun(LOCAL, {"rounds": 4}), StubRun(replace(LOCAL, choose_share=False), {"rounds": 4})
    assert len({float(run.private(client)["memory:own_share"]["share"]) for client in POINTS}) > 1
    assert len(run.logs) == len(off.logs) + 1 == 5
    assert 0 < run.logs[-1].row["own_share"] < 1
    assert all(run.server.params[name].equal(tensor) for name, tensor in off.server.params.items())
    assert "memory:own_share" not in off.private("h01")


def test_without_validation_studies_the_own_adapter_counts_in_full() -> None:
    class Blind(StubWorker):
        """Its hospitals have no validation studies."""

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            empty = {name: replace(h, rows={**h.rows, "val": h.rows["val"][:0]}) for name, h in self.hospitals.items()}
            self.hospitals = empty

    run = StubRun(replace(LOCAL, finetune_epochs=1), {"rounds": 1}, worker_class=Blind)
    for client in POINTS:
        assert float(run.private(client)["memory:own_share"]["share"]) == 1.0
        assert "memory:finetuned" not in run.private(client)


def test_fine_tuning_by_hand_and_only_where_validation_gains() -> None:
    """The last fit is one step on all studies of a hospital: e moves to their mean. Validation studies
    lie at (1, 1) and (2, 2): h01, whose mean is (2, 1), takes the step; h03, with its mean (0, -4), does not."""
    tuned = replace(LOCAL, choose_share=False, finetune_epochs=1)
    train = {"rounds": 1, "batch_size": 4, "local_epochs": 1}
    run, plain = StubRun(tuned, train, unseen=[(0.0, 0.0)]), StubRun(replace(LOCAL, choose_share=False), train)
    assert all(run.server.params[name].equal(tensor) for name, tensor in plain.server.params.items())
    e = run.server.params[E]
    own = run.private("h01")["memory:finetuned"]
    torch.testing.assert_close(own[E], e - TRAIN.lr * (e - means()["h01"]))
    assert set(own) == {E}, "what is in the language model stays"
    assert "memory:finetuned" not in run.private("h03")
    assert same_states(run.private("h03")["personal"], plain.private("h03")["personal"])
    assert run.logs[-1].row["finetuned_epochs"] < 1
    shown = run.reports()
    matrix = _product(run.server.params, "generic") + _product(run.private("h01")["personal"], "specialised")
    assert shown["test", "personal", "h01"][0] == written(own[E], matrix)
    assert shown["unseen", "global", "h09"][0] == written(e, _product(run.server.params, "generic"))


def test_fedmrg_chooses_after_training_and_changes_nothing_else(toy_cache: Path) -> None:
    run, off = (Run(toy_spec(toy_cache, "fedmrg", choose_share=choose)) for choose in (True, False))
    assert same(run.server, off.server)
    for client in off.store.clients():
        own, plain = unpack(run.store.get(client)), unpack(off.store.get(client))
        assert all(own["personal"][name].equal(tensor) for name, tensor in plain["personal"].items())
        state = ClientState(client, own["personal"], {"own_share": own["memory:own_share"]})
        weights = run.spec.algorithm.adapter_weights(state)
        assert sum(weights.values()) == 1
        assert all(weights.values())
    assert params_sha256(run.server, run.store) != params_sha256(off.server, off.store), "the choice is private state"


def test_the_validation_nll_is_that_of_the_evaluation(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedmrg"))
    worker, hospital = run.worker, run.federation.hospitals[0]
    worker.start_from(run.server.params)
    client = ClientContext(worker, hospital, 0, {"shared": run.server.params}, {})
    worker.model.eval()
    batch = worker.batch(hospital.rows["val"])
    read = worker.model.read(batch.images, {"generic": 1.0})
    expected = float(worker.model.reference_nll(batch, read).sum()) / int(batch.mask.sum())
    worker.model.train()
    assert client.validation_nll({"generic": 1.0}) == pytest.approx(expected, rel=1e-5)
    assert worker.model.training


def test_a_hospital_without_an_adapter_of_its_own_can_be_fine_tuned(toy_cache: Path) -> None:
    run = Run(toy_spec(toy_cache, "fedmrg", specialised=False, finetune_epochs=2))
    tuned = [c for c in run.store.clients() if "memory:finetuned" in unpack(run.store.get(c))]
    assert tuned, "no toy hospital gained from its own studies"
    state = ClientState(tuned[0], {}, {"finetuned": unpack(run.store.get(tuned[0]))["memory:finetuned"]})
    algorithm = run.spec.algorithm
    assert algorithm.has_personal_view(state)
    assert algorithm.adapter_weights(state) == {"generic": 1.0}
    assert not same_states(algorithm.eval_params(run.server, state, {}), run.server.params)
