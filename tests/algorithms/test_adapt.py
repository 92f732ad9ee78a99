"""Few-shot adaptation: an unseen hospital tunes a fresh personal part, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from fedmrg_core.algorithms.base import Algorithm
from fedmrg_core.algorithms.ditto import Ditto
from fedmrg_core.algorithms.fedavg_ft import FedAvgFT
from tests.stub import E, StubRun, W, written

POINTS = [(1.0, 3.0), (2.0, 0.0), (0.0, 7.0)]
MEAN = torch.tensor(POINTS).mean(dim=0)
STEP = {"adapt": (3,), "adapt_steps": 1}


@dataclass(frozen=True)
class OwnEncoder(Algorithm):
    def is_shared(self, name: str) -> bool:
        return name != E


def test_one_step_by_hand_moves_only_the_personal_part() -> None:
    run = StubRun(OwnEncoder(), {"batch_size": 4}, unseen=POINTS)
    reports = run.reports(**STEP)
    expected = written(0.1 * MEAN, run.server.params[W])
    assert reports["unseen", "adapted3", "h09"] == [expected] * 2
    assert reports["unseen", "global", "h09"] != [expected] * 2


def test_a_model_of_ones_own_is_adapted_whole() -> None:
    run = StubRun(FedAvgFT(), {"batch_size": 4}, unseen=POINTS)
    e, w = (run.server.params[name] for name in (E, W))
    expected = written(e + 0.1 * (MEAN - e), w + 0.1 * (MEAN - w))
    assert run.reports(**STEP)["unseen", "adapted3", "h09"] == [expected] * 2
    assert ("unseen", "adapted3", "h09") in StubRun(Ditto(), unseen=POINTS).reports(**STEP)


def test_few_studies_are_among_more_and_a_hospital_with_fewer_gives_all() -> None:
    run = StubRun(OwnEncoder(), {"batch_size": 4}, unseen=POINTS)
    reports = run.reports(adapt=(1, 2, 3, 9), adapt_steps=1)
    one, two, three, nine = (reports["unseen", f"adapted{count}", "h09"][0] for count in (1, 2, 3, 9))
    assert len({one, two, three}) == 3
    assert three == nine
    means = [torch.tensor([float(x) for x in text.split("]")[0].split("[")[1].split(",")]) * 10 for text in (one, two)]
    first = [point for point in POINTS if torch.allclose(means[0], torch.tensor(point))]
    second = [point for point in POINTS if torch.allclose(means[1] * 2 - means[0], torch.tensor(point), atol=1e-5)]
    assert len(first) == len(second) == 1
    assert first != second


def test_without_a_personal_part_there_is_no_such_view() -> None:
    assert ("unseen", "adapted3", "h09") not in StubRun(Algorithm(), unseen=POINTS).reports(**STEP)


@pytest.mark.parametrize("changes", [{}, {"parts": ("test",), "adapt": (3,)}])
def test_it_is_asked_for(changes: dict[str, tuple[object, ...]]) -> None:
    views = {view for _, view, _ in StubRun(OwnEncoder(), unseen=POINTS).reports(**changes)}
    assert views == {"global", "personal"}
