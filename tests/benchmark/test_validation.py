"""Validation while a run trains: the numbers by hand, and no effect on what is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.run import validation
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Hospital
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.rounds import RoundRecord
from tests.stub import VIEWS, E, StubRun, W


class Validated(StubRun):
    """A stub run that is validated after each round."""

    def _log(self, server: ServerState, store: ClientStore, log: RoundRecord) -> None:
        super()._log(server, store, log)
        fixed = (self.federation, server, store, self.pool, VIEWS, self.seed)
        log.row["val"] = validation.validate(self.algorithm, *fixed)


def test_a_round_is_validated_and_nothing_else_changes() -> None:
    plain, run = StubRun(Algorithm()), Validated(Algorithm())
    assert all(run.server.params[name].equal(value) for name, value in plain.server.params.items())
    e = run.server.params[E]
    points = ((1.0, 1.0), (2.0, 2.0))  # the validation studies of each hospital; a report is one token
    vectors = torch.cat([e[None], run.server.params[W]])
    nats = sum(float((vectors - torch.tensor(point)).square().sum()) / 2 for point in points) / 2
    values = [log.row["val"] for log in run.logs]
    assert values[-1]["val_nll"] == pytest.approx(nats, rel=1e-6)
    assert values[0]["val_nll"] > values[-1]["val_nll"]
    assert "val_ce_f1" in values[0]


def test_few_studies_are_taken_evenly() -> None:
    few = validation._shortened(Hospital("h", True, {"train": np.arange(5), "val": np.arange(100)}))
    assert len(few.rows["val"]) == validation.MOST
    assert (few.rows["val"][0], few.rows["val"][-1], len(few.rows["train"])) == (0, 99, 0)
