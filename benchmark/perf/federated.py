"""One measurement of a federation's rounds: seconds against the ideal, memory of driver and actors, private states.

    python -m benchmark.perf.federated --algo fedmrg --clients 20 --rounds 3

Prints a row of JSON. `--algo noop`: clients that add 1 to what they receive and keep a private state.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmark.perf.noop import ARRAYS, NoOpWorker
from benchmark.run import settings
from benchmark.run.options import CACHE
from benchmark.run.workers import Workers
from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import LABELS, MEMBERSHIP, META, TEXTS, Federation, Hospital, table_hashes
from fedmrg_core.data.cache.prepare import prepare
from fedmrg_core.engine.base_cache import ensure_base
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.memory.process import configure_process
from fedmrg_core.engine.memory.shared_weights import MIN_SHARED_BYTES
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import TrainReply, TrainTask
from fedmrg_core.engine.pool import Call, Pool, PoolConfig
from fedmrg_core.engine.ray.instance import start_ray
from fedmrg_core.engine.ray.pool import RayPool
from fedmrg_core.engine.replica import WorkerSpec
from fedmrg_core.engine.rounds import RoundRecord, run_rounds
from fedmrg_core.engine.trainer import TrainConfig
from fedmrg_core.types import State

SHORT = ("warmup_studies=1000", "warmup_vision_steps=300", "warmup_prompt_steps=200", "warmup_steps=200")
"""A short warm-up: the base need not be good to be timed."""
TOY = (
    "lm_hidden=32", "lm_layers=1", "lm_heads=2", "lm_intermediate=64", "encoder_channels=8,8,16,16", "vocab_size=400",
    "warmup_studies=64", "warmup_vision_steps=2", "warmup_prompt_steps=2", "warmup_steps=4", "max_tokens=24",
    "local_steps=1", "train.batch_size=8", "tuning.rank=2",
)  # fmt: skip
"""The smallest real model: a round takes about a second."""
LARGE = (
    "lm_hidden=1024", "lm_layers=8", "lm_heads=16", "lm_intermediate=2816",
    "warmup_vision_steps=0", "warmup_prompt_steps=0", "warmup_steps=0",
)  # fmt: skip
"""On top of TOY: a language model of some 100 million random weights."""
RATIOS = (("ratio", "s"), ("list_ratio", "list_s"))
"""A round's seconds / the ideal (the clients' own seconds, spread evenly over the actors): as measured, and for clients
that run on the next free actor without any cost in between."""


@dataclass(frozen=True)
class Case:
    """What is measured. toy, large: a small real model, and it with a language model of 400 MB. own: every process has
    its own copy of the frozen parameters. clients: hospitals that the studies are dealt to, `studies` each; 0 = the
    split's own. participation: their share in a round. payload_mb, private_mb: of a noop client. bound_mb: of private
    states in memory. at: rounds (1-based) after which memory is read."""

    algo: str = "fedmrg"
    split: str = "phantom/group"
    toy: bool = False
    large: bool = False
    own: bool = False
    clients: int = 0
    studies: int = 15
    participation: float = 1.0
    actors: int = 2
    rounds: int = 3
    payload_mb: float = 1.0
    private_mb: float = 0.0
    bound_mb: float = 1024.0
    at: tuple[int, ...] = ()


class Keeping(NoOpWorker):
    """A client that adds 1 to its upload, and to a private state of `private_mb`."""

    def __init__(self, private_mb: float) -> None:
        super().__init__(0.0)
        self._width = int(private_mb * 2**20 / 4)

    def train(self, task: TrainTask, broadcast: Packed, alloc: tree.Allocator = tree.alloc) -> TrainReply:
        mine = unpack(task.private).get("personal") or {"w": torch.zeros(self._width)}
        reply = super().train(task, broadcast, alloc)
        return replace(reply, private=pack({"personal": {"w": mine["w"] + 1}}) if self._width else reply.private)


class Counting(Algorithm):
    """The server takes the mean of what comes: what it sends counts the rounds, where a sum would double with each."""

    def server_step(self, server: ServerState, mean_delta: State) -> ServerState:
        return server.moved(mean_delta)


class Recorder:
    """A pool that records each client's seconds, in the order of the calls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.events = pool.events
        self.seconds: list[float] = []

    def share(self, packed: Any) -> Any:
        return self._pool.share(packed)

    def map(self, calls: Sequence[Call], deadline_s: float = 0.0, keep_going: bool = False) -> Iterator[Any]:
        self.seconds = []
        for reply in self._pool.map(calls, deadline_s, keep_going):
            self.seconds.append(reply.seconds)
            yield reply
            del reply  # see `Pool.map`

    def close(self) -> None:
        self._pool.close()


def makespan(seconds: list[float], actors: int) -> float:
    """When the last call ends, if each goes in this order to the actor that is free first.

    >>> makespan([3, 2, 2], 2)
    4.0
    """
    ends = [0.0] * actors
    for each in seconds:
        heapq.heappush(ends, heapq.heappop(ends) + each)
    return max(ends)


def resident(pid: int) -> dict[str, float]:
    """MB of a process: all that is resident; what of it is its own (no file, no shared memory); and with each shared
    page divided by the number of those that share it."""
    lines = Path(f"/proc/{pid}/status").read_text() + Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\n")[2]
    said = dict(line.split(":", 1) for line in lines.splitlines())
    names = (("all", "VmRSS"), ("own", "RssAnon"), ("divided", "Pss"))
    return {name: round(int(said[key].split()[0]) / 1024, 1) for name, key in names}


def actor_pids() -> list[int]:
    """Processes of actors that descend from this process."""
    parents, actors = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_bytes().startswith(b"ray::WorkerActor"):
                actors.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue

    def ours(pid: int) -> bool:
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return sorted(pid for pid in actors if ours(pid))


@contextmanager
def dealt(federation: Federation, clients: int, studies: int) -> Iterator[Path]:
    """A federation's folder in which that many clients hold that many of its studies each, all of them to train on."""
    if clients * studies > len(federation):
        raise SystemExit(f"{clients} clients x {studies} studies: {len(federation)} studies are there")
    with tempfile.TemporaryDirectory(prefix="fedmrg-dealt-") as name:
        folder, given = Path(name), federation.directory.resolve()
        meta = json.loads((given / META).read_text())
        meta |= {"hospitals": [f"c{i:04d}" for i in range(clients)], "unseen": []}
        meta["shards"] = [(str((given / path).resolve()), count) for path, count in meta["shards"]]
        for file in (TEXTS, LABELS):
            (folder / file).symlink_to(given / file)
        membership = np.full((len(federation), 2), -1, np.int16)
        membership[: clients * studies] = [(row % clients, 0) for row in range(clients * studies)]
        np.save(folder / MEMBERSHIP, membership)
        (folder / META).write_text(json.dumps(meta | {"tables": table_hashes(folder)}))
        yield folder


@dataclass(frozen=True)
class Setting:
    """What `run_rounds` is given."""

    algorithm: Algorithm
    federation: Any
    train: TrainConfig
    pool: Pool
    params: dict[str, torch.Tensor]


@contextmanager
def noop(case: Case) -> Iterator[Setting]:
    config = PoolConfig(case.actors, 0.0, 512, 600.0)
    configure_process()
    hospitals = [Hospital(f"c{i:04d}", True, {"train": np.arange(1)}) for i in range(case.clients)]
    federation = SimpleNamespace(hospitals=hospitals, reports=SimpleNamespace(lengths=np.ones(1, np.int32)))
    params = {f"layer{i}": torch.zeros(int(case.payload_mb * 2**20 / 4 / ARRAYS)) for i in range(ARRAYS)}
    train = settings.load("fedavg", overrides=_overrides(case)).train
    stop = start_ray(config)
    pool = RayPool(case.private_mb, config, Keeping)
    try:
        yield Setting(Counting(), federation, train, pool, params)
    finally:
        pool.close()
        stop()


def _overrides(case: Case) -> list[str]:
    return [f"train.rounds={case.rounds}", f"participation={case.participation}"]


@contextmanager
def real(case: Case) -> Iterator[Setting]:
    from fedmrg_core.data.phantom import PhantomConfig, PublicCorpus

    sets = [*(TOY if case.toy or case.large else SHORT), *(LARGE if case.large else ()), *_overrides(case)]
    config = settings.load(case.algo, case.split, overrides=sets)
    model = config.model
    given = prepare(config.data, case.split, 0, model.image_size, CACHE, None, progress=False)
    base = ensure_base(model, PublicCorpus(PhantomConfig.load(), model.warmup_studies, 0), 0, CACHE, progress=False)
    with dealt(given, case.clients or 1, case.studies) as folder:
        spec = WorkerSpec(
            federation=str(folder if case.clients else given.directory),
            base=str(base),
            model=model,
            algorithm=config.algorithm,
            train=config.train,
            seed=0,
            device=replace(config.device, device="cpu"),
            min_shared_bytes=2**62 if case.own else MIN_SHARED_BYTES,
        )
        with Workers(spec, PoolConfig(case.actors, 0.0, 512, 3600.0)) as workers:
            federation = Federation.open(spec.federation)
            yield Setting(spec.algorithm, federation, spec.train, workers.pool, workers.shared_params())


def measure(case: Case) -> dict[str, Any]:
    """The row of one run; the first round includes the start-up and is reported separately."""
    rounds: list[dict[str, float]] = []
    memory: dict[int, Any] = {}
    last: dict[str, Any] = {}

    def on_round(server: ServerState, store: ClientStore, log: RoundRecord) -> None:
        own = recorder.seconds
        ideal = sum(own) / case.actors
        rounds.append({"s": log.row["seconds"]["total"], "ideal_s": ideal, "list_s": makespan(own, case.actors)})
        if server.round in case.at:
            memory[server.round] = {"driver": resident(os.getpid()), "actors": [resident(pid) for pid in actor_pids()]}
        held, spilled = store.num_bytes
        last.update(states=len(store.clients()), state_mb=held / 2**20, spilled_mb=spilled / 2**20)

    with (noop if case.algo == "noop" else real)(case) as setting:
        recorder = Recorder(setting.pool)
        server = setting.algorithm.init_server(setting.params, len(setting.federation.hospitals))
        store = ClientStore(int(case.bound_mb * 2**20))
        run_rounds(setting.algorithm, setting.federation, setting.train, 0, recorder, server, store, on_round)
    later = rounds[1:] or rounds
    middle = {name: round(statistics.median(each[name] for each in later), 4) for name in later[0]}
    return {
        **asdict(case),
        **{f"round_{name}": value for name, value in middle.items()},
        **{name: [round(one[part] / one["ideal_s"], 3) for one in later if one["ideal_s"]] for name, part in RATIOS},
        "first_round_s": rounds[0]["s"],
        "driver_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        **{name: round(value, 3) for name, value in last.items()},
        "memory": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for each in fields(Case):
        name, default = f"--{each.name.replace('_', '-')}", each.default
        if isinstance(default, tuple):
            parser.add_argument(name, type=int, nargs="*", default=[])
        elif isinstance(default, bool):
            parser.add_argument(name, action="store_true")
        else:
            kind: Callable[[str], Any] = type(default)
            parser.add_argument(name, type=kind, default=default)
    given = vars(parser.parse_args())
    print(json.dumps(measure(Case(**{**given, "at": tuple(given["at"])}))))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
