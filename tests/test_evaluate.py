"""What is written first, or before a run was cut off, changes no report and no bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmrg_core.engine.generation_cache import GenerationCache
from fedmrg_core.engine.pool import Call, SerialPool
from fedmrg_core.evaluate import EvaluateConfig, evaluate
from fedmrg_core.types import State
from tests.toy import Run, toy_config, toy_spec

CONFIG = EvaluateConfig(("test", "unseen"), batch_size=8, labeler="rules", weights="", resamples=0, oracle=True)


class Watched(SerialPool):
    """Notes what it was asked; fails after `limit` replies."""

    def __init__(self, worker: Any, limit: int = 10**9) -> None:
        super().__init__(worker)
        self.asked: list[Call] = []
        self.limit = limit

    def map(self, calls: Any, *given: Any, **named: Any) -> Iterator[Any]:
        for number, reply in enumerate(super().map(calls, *given, **named)):
            if number == self.limit:
                raise KeyboardInterrupt
            self.asked.append(calls[number])
            yield reply


@pytest.fixture(scope="module", name="run")
def _run(toy_cache: Path) -> Run:
    return Run(toy_spec(toy_cache, "fedmrg", "train.rounds=1", form="stacked"))  # the personal view costs twice


def table(run: Run, pool: SerialPool, file: Path | None = None, params: State | None = None) -> Any:
    server = run.server.moved(params or run.server.params)
    return evaluate(run.spec.algorithm, run.federation, server, run.store, pool, CONFIG, 0, cache=GenerationCache(file))


def test_the_costliest_batches_go_first_and_every_row_keeps_its_place(run: Run) -> None:
    pool = Watched(run.worker)
    frame = table(run, pool)
    tasks = [call.made() for call in pool.asked]
    costs = [len(task.rows) * (2 if task.private else 1) for task in tasks]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) > 2
    for view in ("global", "personal", "oracle"):
        for hospital in run.federation.hospitals:
            rows = frame[(frame.view == view) & (frame.hospital == hospital.name)]
            expected = [run.federation.study_ids[row] for row in hospital.rows["test"]]
            assert list(rows.study_id) == (expected if hospital.seen or view != "personal" else [])
    alone = [number for number, task in enumerate(tasks) if task.private][-1]
    reports = next(iter(SerialPool(run.worker).map([pool.asked[alone]]))).reports
    ids = [run.federation.study_ids[row] for row in tasks[alone].rows]
    personal = frame[frame.view == "personal"].set_index("study_id")
    assert list(personal.loc[ids].hypothesis) == reports


def test_a_cut_off_generation_goes_on_from_the_batches_that_are_done(run: Run, tmp_path: Path) -> None:
    whole, file = table(run, Watched(run.worker)), tmp_path / "written.jsonl"
    with pytest.raises(KeyboardInterrupt):
        table(run, Watched(run.worker, limit=5), file)
    with file.open("ab") as stream:
        stream.write(b'{"key": "torn')
    second = Watched(run.worker)
    again = table(run, second, file)
    assert again.equals(whole)
    third = Watched(run.worker)
    assert table(run, third, file).equals(whole)
    assert third.asked == []
    everything = Watched(run.worker)
    table(run, everything)
    assert len(second.asked) == len(everything.asked) - 5


def test_other_parameters_find_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "written.jsonl"
    first = Watched(run.worker)
    table(run, first, file)
    name = next(iter(run.server.params))
    moved = {**run.server.params, name: run.server.params[name] + 1.0}
    second = Watched(run.worker)
    table(run, second, file, moved)
    assert len(second.asked) == len(first.asked)


def test_a_row_that_reads_no_film_asks_nobody(toy_cache: Path, run: Run) -> None:
    algorithm = toy_config("constant").algorithm
    pool = Watched(run.worker)
    frame = evaluate(algorithm, run.federation, run.server, run.store, pool, CONFIG, 0)
    assert pool.asked == []
    assert frame[frame.view == "global"].hypothesis.nunique() == 1
