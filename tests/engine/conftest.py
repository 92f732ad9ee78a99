"""What the tests of failing clients and actors share; a file that needs another spec defines its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedmrg_core.engine.replica import WorkerSpec
from tests.toy import Run, toy_spec


@pytest.fixture(scope="module", name="spec")
def _spec(toy_cache: Path) -> WorkerSpec:
    return toy_spec(toy_cache, "fedmrg")


@pytest.fixture(scope="module", name="client")
def _client(spec: WorkerSpec) -> str:
    """The client that is folded first."""
    return Run(replace(spec, train=replace(spec.train, rounds=1))).logs[0].row["clients"][0]
