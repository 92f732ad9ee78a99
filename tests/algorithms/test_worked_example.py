"""The worked example of docs/adding-an-algorithm.md runs, and is FedAvg where the page says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedmrg_core.algorithms import base
from fedmrg_core.algorithms.base import Algorithm
from tests.pages import code_block
from tests.stub import E, StubRun


@pytest.fixture(name="example")
def _example(monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    monkeypatch.setattr(base, "REGISTRY", {})
    names: dict[str, Any] = {}
    exec(code_block("adding-an-algorithm.md", "python"), names)
    return base.REGISTRY["fedavgm"]


def test_beta_0_is_fedavg_to_the_bit(example: type[Any]) -> None:
    plain, momentum = StubRun(Algorithm()).server.params, StubRun(example(beta=0.0)).server.params
    assert all(plain[name].equal(momentum[name]) for name in plain)


def test_two_rounds_by_hand(example: type[Any]) -> None:
    """u1 = d1, w1 = d1; u2 = d2 + beta u1, w2 = w1 + u2. The second mean delta d2 starts from the same w1."""
    first, plain = StubRun(Algorithm(), {"rounds": 1}).server.params[E], StubRun(Algorithm()).server.params[E]
    run = StubRun(example(beta=0.5))
    torch.testing.assert_close(run.server.params[E], plain + 0.5 * first)
