"""The figures of a round's updates against their formulas, and what they cost: nothing is kept of a large cohort."""

from __future__ import annotations

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.engine.agreement import COMPARED, SAMPLE, Agreement
from tests.stub import StubRun


def _figures(**updates: dict[str, torch.Tensor]) -> dict:
    agreement = Agreement()
    for client, delta in updates.items():
        agreement.add(client, delta)
    return agreement.figures()


def test_norms_and_cosines_by_hand() -> None:
    a = {"encoder.w": torch.tensor([3.0, 4.0]), "lm.w": torch.tensor([[1.0], [0.0]]), "encoder.n": torch.tensor(7)}
    b = {"encoder.w": torch.tensor([4.0, -3.0]), "lm.w": torch.tensor([[1.0], [1.0]]), "encoder.n": torch.tensor(9)}
    found = _figures(a=a, b=b)
    assert found["norm"] == pytest.approx({"encoder": 5.0, "lm": (1 + 2**0.5) / 2}, rel=1e-5)
    whole = 1 / (26 * 27) ** 0.5
    assert found["cosine"] == pytest.approx({"encoder": 0.0, "lm": 0.5**0.5, "all": whole}, rel=1e-5)
    assert found["pairs"] == [["a", "b", pytest.approx(whole, rel=1e-5)]]


def test_large_groups_are_sampled_evenly() -> None:
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(10 * SAMPLE + 7, generator=draw)
    deltas = {n: {"lm.w": shared + torch.randn(len(shared), generator=draw)} for n in ("a", "b")}
    found = _figures(**deltas)
    exact = torch.nn.functional.cosine_similarity(deltas["a"]["lm.w"], deltas["b"]["lm.w"], dim=0)
    assert found["cosine"]["lm"] == pytest.approx(float(exact), abs=0.05)
    norm = sum(float(delta["lm.w"].norm()) for delta in deltas.values()) / 2
    assert found["norm"]["lm"] == pytest.approx(norm, rel=0.04)


def test_one_client_none_and_many() -> None:
    one = {"lm.w": torch.ones(2)}
    assert _figures(a=one) == {"norm": {"lm": pytest.approx(2**0.5, rel=1e-5)}}
    assert _figures() == _figures(a={}) == {}
    assert "cosine" not in _figures(a=one, b={"lm.w": torch.zeros(2)}), "an update of 0 has no direction"
    many = _figures(**{f"c{n}": one for n in range(COMPARED + 5)})
    assert many["cosine"] == {"lm": pytest.approx(1.0), "all": pytest.approx(1.0)}
    assert "pairs" not in many


def test_a_rounds_row_has_them() -> None:
    run = StubRun(Algorithm())
    first = run.logs[0].row["updates"]
    assert set(first["norm"]) == {"encoder", "lm"}
    assert [pair[:2] for pair in first["pairs"]] == [["h01", "h02"], ["h01", "h03"], ["h02", "h03"]]
    assert first["cosine"]["all"] == pytest.approx(sum(pair[2] for pair in first["pairs"]) / 3, rel=1e-4)
