"""The scale benchmark says what it measured; how much is no test's business."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmark.perf import scale
from benchmark.perf.federated import Recorder, dealt, makespan
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.engine.pool import Call, SerialPool
from tests.toy import federation


def test_the_list_schedule_is_that_of_whoever_is_free_first() -> None:
    assert makespan([630, 420, 294, 182, 98], 2) == 812
    assert makespan([3, 2, 2], 2) == 4
    assert makespan([1, 1], 4) == 1


def test_studies_are_dealt_evenly_and_the_films_are_the_same(toy_cache: Path) -> None:
    given = federation(toy_cache)
    with dealt(given, clients=20, studies=3) as folder:
        made = Federation.open(folder)
        assert [len(hospital.rows["train"]) for hospital in made.hospitals] == [3] * 20
        assert all(hospital.seen for hospital in made.hospitals)
        assert (made.images([7, 50]) == given.images([7, 50])).all()
        assert made.reports[7] == given.reports[7]
    assert not folder.exists()
    with pytest.raises(SystemExit, match="studies are there"), dealt(given, clients=100, studies=30):
        pass


def test_a_recorder_notes_every_clients_seconds_and_changes_nothing() -> None:
    class Reply(float):
        @property
        def seconds(self) -> float:
            return float(self)

    class Worker:
        def train(self, task: float, shared: object, alloc: object = None) -> Reply:
            return Reply(task)

    pool = Recorder(SerialPool(Worker()))
    calls = [Call("train", number, None, "x") for number in (3.0, 2.0)]
    assert list(pool.map(calls)) == [3.0, 2.0]
    assert list(pool.map(calls[:1])) == [3.0]
    assert pool.seconds == [3.0]


@pytest.mark.parametrize("part", list(scale.PARTS))
def test_every_part_has_a_table_of_its_rows(part: str) -> None:
    memory = {"driver": {"all": 300, "own": 200, "divided": 220}}
    memory["actors"] = [memory["driver"]] * 2  # type: ignore[assignment]
    figures = {"round_s": 1.5, "round_ideal_s": 1.4, "ratio": [1.05, 1.07], "list_ratio": [1.0, 1.01]}
    figures |= {"driver_peak_mb": 400.0, "state_mb": 4.5, "spilled_mb": 0.0, "load": 0.3}  # type: ignore[dict-item]
    cases = [scale.quick(case) for case in scale.PARTS[part]]
    rows = [{**asdict(case), **figures, "memory": dict.fromkeys(case.at, memory)} for case in cases]
    lines = scale.TABLES[part](rows).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + sum(len(case.at) if part == "growth" else 1 for case in cases)
