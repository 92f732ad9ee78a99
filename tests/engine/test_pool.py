"""The pool without other processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedmrg_core.engine.memory.wire import EMPTY, pack
from fedmrg_core.engine.messages import TrainTask
from fedmrg_core.engine.pool import Call, SerialPool
from fedmrg_core.engine.replica import WorkerSpec
from tests.toy import Run, toy_spec


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    return toy_spec(toy_cache, "fedmrg")


def test_serial_pool_names_the_client_in_a_bug(spec: WorkerSpec) -> None:
    run = Run(replace(spec, train=replace(spec.train, rounds=0)))
    call = Call("train", TrainTask("nobody", 0, EMPTY), pack({"shared": {}}), "client nobody, round 0")
    with pytest.raises(KeyError) as caught:
        list(SerialPool(run.worker).map([call]))
    assert "client nobody, round 0" in caught.value.__notes__[0]
