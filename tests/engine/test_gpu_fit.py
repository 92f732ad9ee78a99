"""Actors per GPU: the arithmetic, and the measurement on a machine without a GPU."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmrg_core.engine.device import DeviceConfig
from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.engine.ray import gpu_fit
from fedmrg_core.engine.ray.gpu_fit import MemoryProbe, actors_per_gpu, gpu_fraction, limit_to_memory
from fedmrg_core.errors import FedMRGError
from tests.toy import federation, toy_spec

GB = 10**9
POOL = PoolConfig(actors=6, gpus_per_actor=0.0, object_store_mb=128, wait_s=1.0)


@pytest.mark.parametrize(
    ("free", "needed", "count"),
    [(80, 20, 3), (80, 18, 4), (80, 72, 1), (80, 79, 1), (10, 40, 1), (80, 0, 72 * GB)],
)
def test_as_many_actors_as_fit_less_a_tenth_and_at_least_one(free: int, needed: int, count: int) -> None:
    assert actors_per_gpu(free * GB, needed * GB) == count


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 9, 11, 30])
def test_so_many_shares_fit_one_gpu_and_one_more_does_not(count: int) -> None:
    assert count * gpu_fraction(count) <= 1 < (count + 1) * gpu_fraction(count)


@pytest.mark.parametrize(
    ("memory", "actors", "share"),
    [
        (MemoryProbe(1, 80 * GB, 5 * GB), 6, 0.1666),  # all fit: a sixth each
        (MemoryProbe(1, 80 * GB, 20 * GB), 3, 0.3333),  # only three do
        (MemoryProbe(2, 80 * GB, 20 * GB), 6, 0.3333),
        (MemoryProbe(4, 80 * GB, 20 * GB), 6, 0.5),  # spread, not crowded on the first
        (MemoryProbe(8, 80 * GB, 90 * GB), 6, 1.0),
    ],
)
def test_actors_spread_over_the_gpus(memory: MemoryProbe, actors: int, share: float) -> None:
    assert limit_to_memory(POOL, memory) == replace(POOL, actors=actors, gpus_per_actor=share)


def test_nothing_is_measured_on_a_cpu_nor_where_a_share_is_given(
    toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    spec, data = toy_spec(toy_cache, "fedavg"), federation(toy_cache)
    measured = lambda *given: MemoryProbe(1, 80 * GB, 20 * GB)  # noqa: E731
    assert gpu_fit.fit_gpu(POOL, spec, data, 4, measured) == (POOL, {})
    cuda = replace(spec, device=DeviceConfig("cuda"))
    for pool in (replace(POOL, gpus_per_actor=0.5), replace(POOL, actors=0)):
        assert gpu_fit.fit_gpu(pool, cuda, data, 4, measured) == (pool, {})
    chosen, facts = gpu_fit.fit_gpu(POOL, cuda, data, 4, measured)
    assert (chosen.actors, chosen.gpus_per_actor) == (3, 0.3333)
    assert (facts["asked"], facts["needed"]) == (6, 20 * GB)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert gpu_fit.fit_gpu(POOL, cuda, data, 4, measured)[0] == replace(POOL, gpus_per_actor=0.3333)


@pytest.mark.parametrize("algo", ["fedavg", "fedmrg"])
def test_the_hardest_work_is_the_longest_reports_of_the_largest_client(
    algo: str, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, seen = federation(toy_cache), []
    batch = gpu_fit.Worker.batch
    monkeypatch.setattr(gpu_fit.Worker, "batch", lambda self, rows: seen.append(rows) or batch(self, rows))
    client = gpu_fit.largest_client(data)
    assert gpu_fit.run_largest(toy_spec(toy_cache, algo), client, films=4) == 1
    rows, _ = seen  # trained on, then reported on
    own = next(h for h in data.hospitals if h.name == client).rows["train"]
    assert sorted(data.reports.lengths[rows]) == sorted(np.sort(data.reports.lengths[own])[-len(rows) :])
    total = {h.name: data.reports.lengths[h.rows["train"]].sum() for h in data.hospitals if h.seen}
    assert total[client] == max(total.values())


def free_in_file() -> list[int]:
    return [int(size) for size in Path(os.environ["FEDMRG_TEST_FREE"]).read_text().split()]


def take_some(spec: object, client: str, films: int) -> None:
    Path(os.environ["FEDMRG_TEST_FREE"]).write_text("700 1000")


def take_too_much(spec: object, client: str, films: int) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory (not really)")


def take_for_ever(spec: object, client: str, films: int) -> None:
    time.sleep(600)


def test_what_is_gone_while_an_actor_holds_it_is_what_it_needs(
    toy_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "free").write_text("1000 900")
    monkeypatch.setenv("FEDMRG_TEST_FREE", str(tmp_path / "free"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    given = toy_spec(toy_cache, "fedavg"), federation(toy_cache), 4, free_in_file
    assert gpu_fit.measure_actor(*given, take_some) == MemoryProbe(gpus=2, free=900, needed=300)
    with pytest.raises(FedMRGError, match=r"one actor does not fit on the GPU.*gradient_checkpointing"):
        gpu_fit.measure_actor(*given, take_too_much)
    monkeypatch.setattr(gpu_fit, "MEASURE_S", 2.0)
    start = time.monotonic()
    with pytest.raises(FedMRGError, match=r"not measured within 2 s.*gpus_per_actor"):
        gpu_fit.measure_actor(*given, take_for_ever)
    assert time.monotonic() - start < 30


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_probe_says_so(toy_cache: Path) -> None:
    with pytest.raises(FedMRGError, match="torch sees no GPU"):
        gpu_fit.measure_actor(toy_spec(toy_cache, "fedavg"), federation(toy_cache), 4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_actor_is_measured_on_a_gpu(toy_cache: Path) -> None:
    spec = replace(toy_spec(toy_cache, "fedmrg"), device=DeviceConfig("cuda"))
    memory = gpu_fit.measure_actor(spec, federation(toy_cache), 4)
    assert memory.gpus == torch.cuda.device_count()
    assert 50 * 10**6 < memory.needed < memory.free
