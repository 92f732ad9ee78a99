"""One measurement of one engine here: rounds of clients that add 1 to what they receive. Prints a row of JSON.

    python -m benchmark.perf.noop ours --clients 20 --actors 2 --payload-mb 1

Every client of every engine does the same: wait `sleep_ms`, add 1 to each of 20 float32 arrays, send them back.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Hospital
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.process import configure_process
from fedmrg_core.engine.memory.wire import EMPTY, Packed, pack, unpack
from fedmrg_core.engine.messages import TrainReply, TrainTask
from fedmrg_core.engine.pool import PoolConfig
from fedmrg_core.engine.ray.instance import start_ray
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.rounds import run_rounds
from fedmrg_core.engine.trainer import TrainConfig

ARRAYS = 20


@dataclass(frozen=True)
class Case:
    """What is measured: clients per round, worker processes, MB (2^20 bytes) each way, ms of a client, rounds."""

    clients: int
    actors: int
    payload_mb: float
    sleep_ms: float = 0.0
    rounds: int = 6

    @property
    def width(self) -> int:
        """Elements of each of the 20 arrays."""
        return int(self.payload_mb * 2**20 / 4 / ARRAYS)


class NoOpWorker:
    """A worker without a model; its spec is the milliseconds that a client takes."""

    def __init__(self, sleep_ms: float) -> None:
        configure_process()
        self._seconds = sleep_ms / 1000

    def train(self, task: TrainTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> TrainReply:
        time.sleep(self._seconds)
        received = unpack(broadcast)["shared"]
        delta = tree.flat_like(received, alloc)
        for name, tensor in received.items():
            torch.add(tensor, 1, out=delta[name])
        return TrainReply(task.client_id, pack({"delta": delta}), EMPTY, 1.0, {"loss": 0.0}, 1, self._seconds)


def ours(case: Case) -> list[float]:
    """Seconds of each round of our engine: pack, put, actors, checks, ledger, fold."""
    config = PoolConfig(actors=case.actors, gpus_per_actor=0.0, object_store_mb=512, wait_s=600.0)
    configure_process()
    stop = start_ray(config)
    pool = RayPool(case.sleep_ms, config, NoOpWorker)
    rows = np.arange(1)
    hospitals = [Hospital(f"c{i:04d}", True, {"train": rows}) for i in range(case.clients)]
    federation: Any = SimpleNamespace(hospitals=hospitals, reports=SimpleNamespace(lengths=np.ones(1, np.int32)))
    marks = [time.perf_counter()]
    train = TrainConfig(
        rounds=case.rounds, participation=1.0, local_epochs=1, local_steps=0, batch_size=1, optimizer="sgd",
        lr=0.0, adapter_lr=0.0, schedule="constant", weight_decay=0.0, clip_norm=0.0,
    )  # fmt: skip
    try:
        run_rounds(
            Algorithm(),
            federation,
            train,
            0,
            pool,
            ServerState({f"layer{i}": torch.zeros(case.width) for i in range(ARRAYS)}),
            ClientStore(),
            lambda *_: marks.append(time.perf_counter()),
        )
    finally:
        pool.close()
        stop()
    return list(np.diff(marks))


def serial(case: Case) -> list[float]:
    """Seconds of each round of a plain loop over numpy arrays: what the clients' own work and the sum cost."""
    params = [np.zeros(case.width, dtype=np.float32) for _ in range(ARRAYS)]
    seconds = []
    for _ in range(case.rounds):
        start = time.perf_counter()
        total = [np.zeros(case.width, dtype=np.float64) for _ in params]
        for _ in range(case.clients):
            time.sleep(case.sleep_ms / 1000)
            for sum_, array in zip(total, params, strict=True):
                sum_ += array + 1
        params = [(array + sum_ / case.clients).astype(np.float32) for array, sum_ in zip(params, total, strict=True)]
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(engine: str, case: Case) -> dict[str, Any]:
    """The row of one run; the first round includes the start-up and is reported separately."""
    seconds = {"ours": ours, "serial": serial}[engine](case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row(engine, case, seconds, peak)


def row(engine: str, case: Case, seconds: list[float], driver_rss_mb: float) -> dict[str, Any]:
    """The figures of one run, the same for every engine."""
    median = statistics.median(seconds[1:])
    return {
        "engine": engine,
        "clients": case.clients,
        "actors": case.actors,
        "payload_mb": case.payload_mb,
        "sleep_ms": case.sleep_ms,
        "round_s": round(median, 5),
        "ms_per_client_round": round(median * 1000 / case.clients, 4),
        "first_round_s": round(seconds[0], 4),
        "driver_rss_mb": round(driver_rss_mb, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=("ours", "serial"))
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--actors", type=int, required=True)
    parser.add_argument("--payload-mb", type=float, required=True)
    parser.add_argument("--sleep-ms", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=6)
    given = vars(parser.parse_args())
    engine = given.pop("engine")
    print(json.dumps(measure(engine, Case(**given))))


if __name__ == "__main__":
    main()
