"""The federated rounds: choose a cohort, dispatch it longest-first, fold its updates, commit, write a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState, Update
from fedmrg_core.data.federation import Federation, Hospital
from fedmrg_core.engine.client import TrainReply, TrainTask
from fedmrg_core.engine.pool import Call, ClientError, Pool
from fedmrg_core.engine.store import ClientStore
from fedmrg_core.engine.trainer import TrainConfig
from fedmrg_core.engine.wire import pack, unpack
from fedmrg_core.seeding import generator
from fedmrg_core.types import Payload


@dataclass
class RoundLog:
    """What one round is remembered by: the row of rounds.jsonl and the rows of ledger.jsonl."""

    round: int
    row: dict[str, Any] = field(default_factory=dict)
    ledger: list[dict[str, Any]] = field(default_factory=list)


def cohort(hospitals: list[Hospital], participation: float, seed: int, round_number: int) -> list[Hospital]:
    """The clients of a round: max(1, round(participation x N)) of them, drawn by (seed, round)."""
    count = max(1, round(participation * len(hospitals)))
    if count >= len(hospitals):
        return hospitals
    chosen = generator(seed, round_number, "cohort").choice(len(hospitals), size=count, replace=False)
    return [hospitals[i] for i in sorted(chosen)]


def longest_first(clients: list[Hospital], federation: Federation) -> list[Hospital]:
    """Descending cost = training studies x mean report length; ties by client id. Dispatch and fold use this order."""
    cost = {c.name: int(federation.reports.lengths[c.rows["train"]].sum()) for c in clients}
    return sorted(clients, key=lambda c: (-cost[c.name], c.name))


def run_rounds(
    algorithm: Algorithm,
    federation: Federation,
    train: TrainConfig,
    seed: int,
    pool: Pool,
    server: ServerState,
    store: ClientStore,
    on_round: Callable[[ServerState, ClientStore, RoundLog], None],
) -> ServerState:
    """Run rounds from `server.round` up to `train.rounds`; `on_round` sees each one once it is committed."""
    seen = [hospital for hospital in federation.hospitals if hospital.seen]
    order = longest_first(seen, federation)
    while server.round < train.rounds:
        chosen = {c.name for c in cohort(seen, train.participation, seed, server.round)}
        one = _Round(algorithm, pool, server, store, [c.name for c in order if c.name in chosen])
        server = one.run()
        on_round(server, store, one.log)
    return server


class _Round:
    """One round in the making."""

    def __init__(
        self, algorithm: Algorithm, pool: Pool, server: ServerState, store: ClientStore, clients: list[str]
    ) -> None:
        self.algorithm, self.pool, self.server, self.store, self.clients = algorithm, pool, server, store, clients
        self.log = RoundLog(server.round)
        self._losses: dict[str, float] = {}
        self._weight = 0.0
        self._work = 0.0

    def run(self) -> ServerState:
        start = time.perf_counter()
        events = len(self.pool.events)
        calls = self._calls()
        sent = time.perf_counter()
        try:
            server = self.algorithm.aggregate(self.server, self._updates(calls))
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()
        server = replace(server, round=self.server.round + 1)
        done = time.perf_counter()
        seconds = {"transfer": sent - start, "clients": self._work, "total": done - start}
        self._write_row(server, seconds, self.pool.events[events:])
        return server

    def _calls(self) -> list[Call]:
        """One call a client. Broadcasts made of the same tensors are packed and put once."""
        calls: list[Call] = []
        last: tuple[Payload, Any] | None = None
        for client in self.clients:
            payload = self.algorithm.broadcast(self.server, client)
            if last is None or not _same(last[0], payload):
                last = (payload, self.pool.share(pack(payload)))
            self._enter(client, "download", payload)
            task = TrainTask(client, self.server.round, self.store.get(client))
            calls.append(Call("train", task, last[1], f"client {client}, round {self.server.round}"))
        return calls

    def _updates(self, calls: list[Call]) -> Iterator[Update]:
        for reply in self.pool.map(calls):
            update = self._accept(reply)
            yield update

    def _accept(self, reply: TrainReply) -> Update:
        """Decode and check one upload; a tensor that is not finite is refused by name before it reaches the sum."""
        payload = unpack(reply.upload)
        self._enter(reply.client_id, "upload", payload)
        payload["delta"] = self.algorithm.codec.decode(payload["delta"])
        for group, state in payload.items():
            bad = tree.nonfinite(state)
            if bad is not None:
                raise ClientError(f"client {reply.client_id}, round {self.server.round}: {group} '{bad}' is not finite")
        self.store.stage(reply.client_id, reply.private)
        for name, value in reply.losses.items():
            self._losses[name] = self._losses.get(name, 0.0) + value * reply.weight
        self._weight += reply.weight
        self._work += reply.seconds
        return Update(reply.client_id, reply.weight, payload)

    def _enter(self, client: str, direction: str, payload: Payload) -> None:
        for group, state in payload.items():
            row = {"round": self.server.round, "client": client, "direction": direction, "group": group}
            self.log.ledger.append({**row, "bytes": tree.num_bytes(state)})

    def _write_row(self, server: ServerState, seconds: dict[str, float], failures: list[dict[str, Any]]) -> None:
        total = {d: sum(r["bytes"] for r in self.log.ledger if r["direction"] == d) for d in ("upload", "download")}
        losses = {name: value / self._weight for name, value in self._losses.items()}
        self.log.row = {
            "round": self.server.round,
            "clients": sorted(self.clients),
            **losses,
            "upload_bytes": total["upload"],
            "download_bytes": total["download"],
            "diagnostics": dict(server.diagnostics),
            "failures": failures,
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
        }


def _same(left: Payload, right: Payload) -> bool:
    """Whether two payloads are made of the very same tensors."""
    return left.keys() == right.keys() and all(
        left[g].keys() == right[g].keys() and all(left[g][n] is right[g][n] for n in left[g]) for g in left
    )


def params_sha256(server: ServerState, store: ClientStore) -> str:
    """SHA-256 over sorted (name, dtype, shape, bytes) of the shared and all private state."""
    shared = {f"shared/{name}": tensor for name, tensor in server.params.items()}
    memory = {f"memory/{g}/{n}": tensor for g, state in server.memory.items() for n, tensor in state.items()}
    private = {f"client/{name}": tensor for name, tensor in store.state_for_hash().items()}
    return tree.sha256({**shared, **memory, **private})
