"""Where tasks run: in this process (SerialPool) or on long-lived Ray actors (RayPool). The only file that imports ray.

Both yield replies in the order of the calls, whatever order they end in, so that a fold over them has the same bits.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fedmrg_core.engine.client import Worker
from fedmrg_core.engine.wire import Packed
from fedmrg_core.types import FedMRGError

MAX_TRIES = 3
"""Starts of one task, the first included, before its actors' deaths count as the task's fault."""


@dataclass(frozen=True)
class Call:
    """One call of a worker's method. `who` names the client in an error; `shared` is a handle from `Pool.share`."""

    method: str
    task: Any
    shared: Any
    who: str


@dataclass(frozen=True)
class PoolConfig:
    """actors: worker processes; 0 = none, everything in this process. gpus_per_actor: share of a GPU each may use.
    object_store_mb: Ray's shared memory. wait_s: the longest wait for one reply before the pool gives up."""

    actors: int
    gpus_per_actor: float
    object_store_mb: int
    wait_s: float


class ClientError(FedMRGError):
    """A client's own code failed; the message names the client."""


class Pool(Protocol):
    """Runs calls on workers. `events` collects what went wrong and was mended (actor deaths and restarts)."""

    events: list[dict[str, Any]]

    def share(self, packed: Packed) -> Any:
        """Make a broadcast available to every worker once; returns the handle for `Call.shared`."""

    def map(self, calls: Sequence[Call]) -> Iterator[Any]:
        """Run the calls, started in their order; yield their replies in that same order."""

    def close(self) -> None:
        """Stop everything that this pool started."""


class SerialPool:
    """All in this process, one task after the other: for debugging, for CI, and as the reference for RayPool."""

    def __init__(self, worker: Worker) -> None:
        self.events: list[dict[str, Any]] = []
        self._worker = worker

    def share(self, packed: Packed) -> Packed:
        return packed

    def map(self, calls: Sequence[Call]) -> Iterator[Any]:
        for call in calls:
            try:
                yield getattr(self._worker, call.method)(call.task, call.shared)
            except FedMRGError as error:
                raise type(error)(f"{call.who}: {error}") from None
            except Exception as error:
                error.add_note(f"while running {call.who}")
                raise

    def close(self) -> None:
        pass


@dataclass
class _Actor:
    handle: Any
    number: int
    running: dict[Any, int] = field(default_factory=dict)


class RayPool:
    """Long-lived actors; the driver owns retries: work of a dead actor is run again, elsewhere, with the same seed."""

    DEPTH = 2
    """Tasks an actor holds at once: the next one is there when one ends."""

    def __init__(self, spec: Any, config: PoolConfig, worker: type[Any] = Worker) -> None:
        """`worker(spec)` is what each actor holds: the model's Worker, or anything with the methods that calls name."""
        self.events: list[dict[str, Any]] = []
        self._spec, self._config = spec, config
        self._actors: list[_Actor] = []
        self._born = 0
        _check_resources(config)
        self._actor_class = _actor_class(config, worker)
        for _ in range(config.actors):
            self._actors.append(self._spawn())

    def _spawn(self) -> _Actor:
        self._born += 1
        return _Actor(self._actor_class.remote(self._spec), self._born)

    def share(self, packed: Packed) -> Any:
        import ray

        return ray.put(packed)

    def map(self, calls: Sequence[Call]) -> Iterator[Any]:
        waiting: deque[int] = deque(range(len(calls)))
        tries = [0] * len(calls)
        done: dict[int, Any] = {}
        try:
            for wanted in range(len(calls)):
                while wanted not in done:
                    self._dispatch(calls, waiting, tries)
                    self._collect(calls, waiting, tries, done)
                yield _fetch(done.pop(wanted), calls[wanted])
        finally:
            for actor in self._actors:
                actor.running.clear()

    def _dispatch(self, calls: Sequence[Call], waiting: deque[int], tries: list[int]) -> None:
        """Hand the next calls to the actors that hold least."""
        while waiting:
            actor = min(self._actors, key=lambda a: (len(a.running), a.number))
            if len(actor.running) >= self.DEPTH:
                return
            index = waiting.popleft()
            call = calls[index]
            tries[index] += 1
            ref = getattr(actor.handle, call.method).remote(call.task, call.shared)
            actor.running[ref] = index

    def _collect(self, calls: Sequence[Call], waiting: deque[int], tries: list[int], done: dict[int, Any]) -> None:
        """Wait until at least one reply is there; replace actors that died and put their work back in front."""
        import ray

        owner = {ref: actor for actor in self._actors for ref in actor.running}
        ready, _ = ray.wait(list(owner), num_returns=1, timeout=self._config.wait_s, fetch_local=False)
        if not ready:
            names = sorted({calls[owner[ref].running[ref]].who for ref in owner})
            raise FedMRGError(
                f"no reply within {self._config.wait_s:.0f} s from {', '.join(names)}: raise engine.wait_s"
            )
        for ref in ready:
            actor = owner[ref]
            if ref not in actor.running:
                continue
            if _died(ref):
                self._replace(actor, calls, waiting, tries)
            else:
                done[actor.running.pop(ref)] = ref

    def _replace(self, actor: _Actor, calls: Sequence[Call], waiting: deque[int], tries: list[int]) -> None:
        lost = sorted(actor.running.values())
        for index in reversed(lost):
            if tries[index] >= MAX_TRIES:
                raise ClientError(
                    f"{calls[index].who}: its worker died {MAX_TRIES} times (out of memory?): use fewer actors"
                )
            waiting.appendleft(index)
        names = [calls[index].who for index in lost]
        self.events.append({"kind": "actor_died", "actor": actor.number, "run_again": names})
        self._actors[self._actors.index(actor)] = self._spawn()

    def close(self) -> None:
        import ray

        for actor in self._actors:
            ray.kill(actor.handle)
        self._actors = []


def _died(ref: Any) -> bool:
    """Whether a finished reference stands for a dead actor rather than for a reply or a client's own error."""
    import ray

    try:
        ray.get(ref)
    except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):
        return True
    except Exception:
        return False
    return False


def _fetch(ref: Any, call: Call) -> Any:
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, FedMRGError):
            raise type(cause)(f"{call.who}: {cause}") from None
        raise ClientError(f"{call.who}: {type(cause).__name__}: {cause}") from error


def _actor_class(config: PoolConfig, worker: type[Any]) -> Any:
    """Actors take no CPU: their number is logical, and 4 of them run on 2 cores."""
    import ray

    return ray.remote(num_cpus=0, num_gpus=config.gpus_per_actor, max_restarts=0, max_task_retries=0)(worker)


def start_ray(config: PoolConfig) -> Callable[[], None]:
    """Join the cluster at RAY_ADDRESS, or start a private, offline, quiet one; returns what ends it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # the actors of a private instance inherit it; a worker also sets torch's own
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    import ray

    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, **options)
    else:
        memory = config.object_store_mb * 2**20
        ray.init(address="local", include_dashboard=False, object_store_memory=memory, **options)
    return lambda: ray.shutdown()


def _check_resources(config: PoolConfig) -> None:
    """An actor that cannot be placed would wait for ever in silence: say so first."""
    import ray

    wanted = config.actors * config.gpus_per_actor
    there = ray.cluster_resources().get("GPU", 0.0)
    if wanted > there + 1e-9:
        raise FedMRGError(
            f"{config.actors} actors x {config.gpus_per_actor:g} GPU need {wanted:g} GPUs, {there:g} are there:"
            f" set engine.gpus_per_actor to at most {there / max(config.actors, 1):g}"
        )
