"""The federated rounds: choose a cohort, dispatch it longest-first, fold its updates, commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from typing import Any, cast

import numpy as np

from fedmrg_core import tree
from fedmrg_core.algorithms.base import Algorithm, ServerState, Update
from fedmrg_core.data.cache.federation import Federation, Hospital, pooled
from fedmrg_core.engine.agreement import Agreement
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.failures import Policy
from fedmrg_core.engine.memory.wire import pack, unpack
from fedmrg_core.engine.messages import SHARED, TrainReply, TrainTask
from fedmrg_core.engine.pool import Call, ClientError, Pool
from fedmrg_core.engine.reply_check import ReplyCheck
from fedmrg_core.engine.trainer import TrainConfig
from fedmrg_core.errors import FedMRGError, first_line
from fedmrg_core.models.lora_ranks import slice_ranks
from fedmrg_core.seeding import generator
from fedmrg_core.types import Payload


@dataclass
class RoundRecord:
    """The record of one round: its row of rounds.jsonl and its rows of ledger.jsonl."""

    round: int
    row: dict[str, Any] = field(default_factory=dict)
    ledger: list[dict[str, Any]] = field(default_factory=list)


def cohort_size(participation: float, hospitals: int) -> int:
    """How many of the hospitals a round has: max(1, round(participation x N))."""
    return max(1, round(participation * hospitals))


def cohort(hospitals: list[Hospital], participation: float, seed: int, round_number: int) -> list[Hospital]:
    """The clients of a round, drawn by (seed, round)."""
    count = cohort_size(participation, len(hospitals))
    if count >= len(hospitals):
        return hospitals
    chosen = generator(seed, round_number, "cohort").choice(len(hospitals), size=count, replace=False)
    return [hospitals[i] for i in sorted(chosen)]


def stand_ins(
    hospitals: list[Hospital], chosen: list[Hospital], share: float, seed: int, round_number: int
) -> list[Hospital]:
    """ceil(share x cohort) further clients, drawn by (seed, round) from the clients outside the cohort."""
    taken = {hospital.name for hospital in chosen}
    others = [hospital for hospital in hospitals if hospital.name not in taken]
    count = min(len(others), ceil(share * len(chosen)))
    if not count:
        return []
    drawn = generator(seed, round_number, "stand-ins").choice(len(others), size=count, replace=False)
    return [others[i] for i in sorted(drawn)]


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
    on_round: Callable[[ServerState, ClientStore, RoundRecord], None],
    policy: Policy | None = None,
) -> ServerState:
    """Run rounds from `server.round` up to `train.rounds`, and after them the algorithm's finish, if it has one, which
    counts as one round more; `on_round` is called after each commit.

    policy: what to do about clients that fail; None = stop.
    """
    policy = policy or Policy()
    server = server.moved(tree.as_flat(server.params))
    seen = [hospital for hospital in federation.hospitals if hospital.seen]
    if algorithm.pools:
        seen = [pooled(seen)]
    order = longest_first(seen, federation)
    while server.round < train.rounds + algorithm.finishes:
        finishing = server.round >= train.rounds
        chosen = cohort(seen, 1.0 if finishing else train.participation, seed, server.round)
        spare = stand_ins(seen, chosen, policy.over_selection, seed, server.round)
        names = [{hospital.name for hospital in group} for group in (chosen, spare)]
        clients = [hospital for group in names for hospital in order if hospital.name in group]
        kind = _Finish if finishing else _Round
        one = kind(algorithm, pool, server, store, clients, len(chosen), policy)
        server = one.run(generator(seed, server.round, "aggregate"))
        on_round(server, store, one.log)
    return server


class _Round:
    """One round while it runs."""

    finishing = False

    def __init__(
        self,
        algorithm: Algorithm,
        pool: Pool,
        server: ServerState,
        store: ClientStore,
        clients: list[Hospital],
        cohort_size: int,
        policy: Policy,
    ) -> None:
        """clients: the cohort, then its stand-ins. cohort_size: how many updates are accepted."""
        self.algorithm, self.pool, self.server, self.store = algorithm, pool, server, store
        self.clients = [hospital.name for hospital in clients]
        self.studies = {hospital.name: float(len(hospital.rows["train"])) for hospital in clients}
        self.cohort_size, self.policy = cohort_size, policy
        self.accepted: list[str] = []
        self.log = RoundRecord(server.round)
        self.agreement = Agreement()
        self.check = ReplyCheck(algorithm, server, self.finishing)
        self._losses: dict[str, float] = {}
        self._weight = self._work = self._cpu = 0.0
        self._steps = self._trained = 0

    def run(self, rng: np.random.Generator) -> ServerState:
        start = time.perf_counter()
        events = len(self.pool.events)
        calls = self._calls()
        sent = time.perf_counter()
        try:
            server = self._fold(self._updates(calls), rng)
        except BaseException:
            self.store.rollback()
            raise
        self.store.commit()
        server = replace(server, round=self.server.round + 1)
        done = time.perf_counter()
        seconds = {"transfer": sent - start, "clients": self._work, "clients_cpu": self._cpu, "total": done - start}
        self._write_row(server, seconds, self.pool.events[events:])
        return server

    def _fold(self, updates: Iterator[Update], rng: np.random.Generator) -> ServerState:
        return self.algorithm.aggregate(self.server, list(updates) if self.algorithm.needs_all else updates, rng)

    def _calls(self) -> list[Call]:
        """One call per client. Broadcasts made of the same tensors are packed and put once."""
        calls: list[Call] = []
        last: tuple[Payload, Any] | None = None
        for client in self.clients:
            payload = self.algorithm.broadcast(self.server, client)
            payload = {**payload, SHARED: slice_ranks(payload[SHARED], self.algorithm.rank_of(client))}
            if last is None or not _same(last[0], payload):
                last = (payload, self.pool.share(pack(payload)))
            self._enter(client, "download", payload)
            calls.append(Call("train", self._task_of(client), last[1], f"client {client}, round {self.server.round}"))
        return calls

    def _task_of(self, client: str) -> Callable[[], TrainTask]:
        """Built when it is sent: a private state may be on disk."""
        return lambda: TrainTask(client, self.server.round, self.store.get(client))

    def _updates(self, calls: list[Call]) -> Iterator[Update]:
        replies = self.pool.map(calls, self.policy.deadline_s, keep_going=self.policy.on_failure != "fail")
        with closing(cast(Generator[Any], replies)):
            # map, filter and islice hold no update between two steps: its memory is free for the next one
            yield from islice(filter(None, map(self._update_of, self.clients, replies)), self.cohort_size)
        if not self.accepted:
            raise FedMRGError(f"round {self.server.round}: every client failed: {self.pool.events[-1]['message']}")

    def _update_of(self, client: str, reply: Any) -> Update | None:
        """The accepted update of a reply, or what the policy takes instead of a failed one: None = nothing."""
        update = self._accept_or_replace(client, reply)
        if update is not None:
            self.accepted.append(client)
            self.agreement.add(client, update.payload.get("delta", {}))
        return update

    def _accept_or_replace(self, client: str, reply: Any) -> Update | None:
        start = time.perf_counter()
        try:
            if isinstance(reply, FedMRGError):
                raise reply
            return self._accept(client, reply)
        except FedMRGError as error:
            if self.policy.on_failure == "fail":
                raise
            update, done = None, "drop"
            if self.policy.on_failure == "reuse_last" and client in self.store.clients_with_update():
                last = unpack(self.store.last_update(client))
                update, done = Update(client, self._weight_of(client), last), "reuse_last"
            event = {"kind": getattr(error, "kind", "client_error"), "client": client, "round": self.server.round}
            message, took = first_line(error), round(time.perf_counter() - start, 3)
            self.pool.events.append({**event, "policy": done, "message": message, "recovery_s": took})
            return update

    def _accept(self, client: str, reply: Any) -> Update:
        """Check and decode one upload; nothing of it is stored or counted before it has passed."""
        reply = self.check.identity(reply, client, self.studies[client])
        self.pool.events.extend(reply.events)
        try:
            payload = self.check.payload(reply.upload, client)
        except ClientError:
            self._count(client, "upload", "refused", reply.upload.num_bytes)
            raise
        self._enter(client, "upload", payload)
        payload = self.check.decoded(payload, client)
        private = self.check.private(reply.private, client, self.store.header(client))
        last = pack(payload) if self.policy.on_failure == "reuse_last" else None
        self.store.stage(client, private, last)
        self._add_figures(reply)
        return Update(client, self._weight_of(client), payload)

    def _add_figures(self, reply: TrainReply) -> None:
        studies = self.studies[reply.client_id]
        for name, value in reply.losses.items():
            self._losses[name] = self._losses.get(name, 0.0) + value * studies
        self._weight += studies
        self._work += reply.seconds
        self._cpu += reply.cpu_seconds
        self._steps += reply.steps
        self._trained += reply.studies

    def _weight_of(self, client: str) -> float:
        return self.studies[client] if self.algorithm.weighting == "size" else 1.0

    def _enter(self, client: str, direction: str, payload: Payload) -> None:
        for group, state in payload.items():
            self._count(client, direction, group, tree.num_bytes(state))

    def _count(self, client: str, direction: str, group: str, num_bytes: int) -> None:
        row = {"round": self.server.round, "client": client, "direction": direction, "group": group}
        self.log.ledger.append({**row, "bytes": num_bytes})

    def _write_row(self, server: ServerState, seconds: dict[str, float], failures: list[dict[str, Any]]) -> None:
        total = {d: sum(r["bytes"] for r in self.log.ledger if r["direction"] == d) for d in ("upload", "download")}
        losses = {name: value / max(self._weight, 1e-12) for name, value in self._losses.items()}
        self.log.row = {
            "round": self.server.round,
            "clients": sorted(self.clients),
            "accepted": sorted(self.accepted),
            **losses,
            "steps": self._steps,
            "studies": self._trained,
            "upload_bytes": total["upload"],
            "download_bytes": total["download"],
            "diagnostics": dict(server.diagnostics),
            "updates": self.agreement.figures(),
            "failures": failures,
            "seconds": {name: round(value, 4) for name, value in seconds.items()},
        }


class _Finish(_Round):
    """After the last round: the clients get the final broadcast and store what they make of it; the server stays."""

    finishing = True

    def _fold(self, updates: Iterator[Update], rng: np.random.Generator) -> ServerState:
        for _ in updates:
            pass
        return replace(self.server, diagnostics={})


def _same(left: Payload, right: Payload) -> bool:
    """Whether two payloads consist of the same tensor objects."""
    return left.keys() == right.keys() and all(
        left[g].keys() == right[g].keys() and all(left[g][n] is right[g][n] for n in left[g]) for g in left
    )


def params_sha256(server: ServerState, store: ClientStore) -> str:
    """SHA-256 over sorted (name, dtype, shape, bytes) of the shared and all private state."""
    return tree.sha256(server.tensors(), store.state_for_hash("client/"))
