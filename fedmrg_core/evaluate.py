"""Generates a report for every film to be scored, on the workers that trained, and collects them in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.generation_cache import GenerationCache, GenerationJob
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import RESIDUE, AdaptTask, GenerateReply, GenerateTask, client_state, server_payload
from fedmrg_core.engine.pool import Call, Pool
from fedmrg_core.engine.reply_check import check_generation
from fedmrg_core.errors import choose, in_range, not_empty
from fedmrg_core.metrics.catalogue import ADAPTED
from fedmrg_core.seeding import generator

if TYPE_CHECKING:
    import pandas as pd

GLOBAL, PERSONAL_VIEW, ORACLE = "global", "personal", "oracle"


@dataclass(frozen=True)
class EvaluateConfig:
    """What is scored, and how.

    parts: any of "test" (seen hospitals' test studies), "unseen" (unseen hospitals' test studies), "val" (seen
    hospitals' validation studies: select settings on these). batch_size: films per generation batch; it is part of the
    result's identity. labeler: "rules" or "chexbert" (with `weights`). resamples: of the bootstrap. oracle: also
    generate with the true label states as prompts, as the view "oracle", which shows what a perfect diagnosis head
    would give; never ranked. adapt: for each k, also tune a fresh personal part on k studies of each unseen hospital
    (all, if it has fewer), as the views "adapted4", "adapted16" ..; k = 0 is the view "global". Only algorithms with
    personal parts have them. adapt_steps: optimiser steps of that.
    """

    parts: tuple[str, ...]
    batch_size: int
    labeler: str
    weights: str
    resamples: int
    oracle: bool
    adapt: tuple[int, ...] = (0,)
    adapt_steps: int = 40

    def __post_init__(self) -> None:
        for count in self.adapt:
            in_range("evaluate.adapt", count, 0)
        in_range("evaluate.adapt_steps", self.adapt_steps, 1)
        not_empty("evaluate.parts", self.parts)
        for part in self.parts:
            choose("evaluate.parts", part, ("test", "unseen", "val"))
        in_range("evaluate.batch_size", self.batch_size, 1)
        choose("evaluate.labeler", self.labeler, ("rules", "chexbert"))
        in_range("evaluate.resamples", self.resamples, 0)


@dataclass(frozen=True)
class EvalPart:
    """Studies of one hospital that are scored together: rows of the federation's tables. private: reads the hospital's
    private state when it is needed (it may be on disk); None = the global view."""

    part: str
    view: str
    hospital: str
    rows: np.ndarray
    private: Callable[[], Packed] | None = None


@dataclass(frozen=True)
class Reported:
    """The reports of a part's n studies. head [n, 14, 4], cut [n] and nll [n, 2] as in `GenerateReply`, or None."""

    part: EvalPart
    reports: list[str]
    head: np.ndarray | None = None
    cut: list[bool] | None = None
    nll: np.ndarray | None = None


def plan(federation: Federation, store: ClientStore, algorithm: Algorithm, config: EvaluateConfig) -> list[EvalPart]:
    """What is to be generated. A seen hospital without a personal view of its own gets the global one, once."""
    parts = []
    for part in config.parts:
        for hospital in federation.hospitals:
            if hospital.seen == (part == "unseen"):
                continue
            rows = hospital.rows["val" if part == "val" else "test"]
            parts.append(EvalPart(part, GLOBAL, hospital.name, rows))
            private = partial(_private, store, hospital.name)
            if hospital.seen and algorithm.has_personal_view(client_state(hospital.name, unpack(private()))):
                parts.append(EvalPart(part, PERSONAL_VIEW, hospital.name, rows, private))
            if config.oracle and algorithm.diagnosis:
                parts.append(EvalPart(part, ORACLE, hospital.name, rows))
    return parts


def _adapted(
    algorithm: Algorithm, federation: Federation, server: ServerState, pool: Pool, config: EvaluateConfig, seed: int
) -> list[EvalPart]:
    """The views of unseen hospitals after few-shot adaptation, which this runs. Fewer studies are among more."""
    counts = [count for count in config.adapt if count]
    if "unseen" not in config.parts or not algorithm.trains or not counts:
        return []
    shared = pool.share(pack(server_payload(server)))
    wanted = [(hospital, count) for hospital in federation.hospitals if not hospital.seen for count in counts]
    calls = []
    for hospital, count in wanted:
        rows = generator(seed, "adapt", hospital.name).permutation(hospital.rows["train"])[:count]
        task = AdaptTask(hospital.name, tuple(sorted(rows.tolist())), config.adapt_steps, server.round)
        calls.append(Call("adapt", task, shared, f"adaptation of {hospital.name}"))
    parts = []
    for (hospital, count), private in zip(wanted, pool.map(calls), strict=True):
        if algorithm.has_personal_view(client_state(hospital.name, unpack(private))):
            view = f"{ADAPTED}{count}"
            parts.append(EvalPart("unseen", view, hospital.name, hospital.rows["test"], partial(_given, private)))
    return parts


def _given(private: Packed) -> Packed:
    return private


def _private(store: ClientStore, hospital: str) -> Packed:
    """A hospital's private state without the codec's residue, which no report depends on."""
    state = store.get(hospital)
    groups = unpack(state)
    return pack({g: s for g, s in groups.items() if g != RESIDUE}) if RESIDUE in groups else state


def evaluate(
    algorithm: Algorithm,
    federation: Federation,
    server: ServerState,
    store: ClientStore,
    pool: Pool,
    config: EvaluateConfig,
    seed: int,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
    cache: GenerationCache | None = None,
) -> pd.DataFrame:
    """One row per film and view: study_id, patient_id, hospital, part, view, reference, hypothesis, labels, head_*; nll
    and tokens of the reference given the film; cut: 1 where the length cap ended the report.

    on_batch: called with (batches done, batches in all). cache: batches of an interrupted generation of the same run.
    """
    import pandas as pd

    corpus = {h.name: [federation.reports[row] for row in h.rows["train"]] for h in federation.hospitals if h.seen}
    done: list[Reported] = []
    todo: list[EvalPart] = []
    adapted = _adapted(algorithm, federation, server, pool, config, seed)
    for part in [*plan(federation, store, algorithm, config), *adapted]:
        draw = generator(seed, "replies", part.part, part.hospital)
        replies = algorithm.replies(corpus, part.hospital, len(part.rows), draw)
        if replies is None:
            todo.append(part)
        else:
            done.append(Reported(part, replies))

    cache = cache or GenerationCache()
    cache.begin(algorithm, server, federation.data_sha256)
    replies_of = _generate(_jobs(algorithm, server, todo, config), server, pool, on_batch, cache)
    done += [_gather(part, replies_of.get(number, [])) for number, part in enumerate(todo)]
    rows = [row for reported in done for row in _rows(federation, reported)]
    return pd.DataFrame(_with_personal_view(rows))


def _jobs(
    algorithm: Algorithm, server: ServerState, parts: list[EvalPart], config: EvaluateConfig
) -> list[GenerationJob]:
    """One job per batch, the costliest first, so that none ends late and alone. The order changes no bit: the batches
    are fixed."""
    jobs = []
    for number, part in enumerate(parts):
        client = None if part.private is None else client_state(part.hospital, unpack(part.private()))
        adapters = len(algorithm.adapter_weights(client))
        for batch, task in enumerate(_batches(part, config, server.round)):
            jobs.append(GenerationJob(number, batch, task, f"hospital {part.hospital}", adapters, part.private))
    return sorted(jobs, key=lambda job: (-job.cost, job.part, job.batch))


def _batches(part: EvalPart, config: EvaluateConfig, round_number: int) -> list[GenerateTask]:
    """Fixed batches: the bits of a row depend on the batch it is in."""
    size = config.batch_size
    chunks = [part.rows[i : i + size] for i in range(0, len(part.rows), size)]
    client = part.hospital if part.private is not None else ""
    return [GenerateTask(tuple(c.tolist()), None, part.view == ORACLE, client, round_number) for c in chunks]


def _generate(
    jobs: list[GenerationJob],
    server: ServerState,
    pool: Pool,
    on_batch: Callable[[int, int], None],
    cache: GenerationCache,
) -> dict[int, list[GenerateReply]]:
    """Part number -> the replies to its batches, in the batches' order."""
    replies = {(job.part, job.batch): cache.find(job) for job in jobs}
    todo = [job for job in jobs if replies[job.part, job.batch] is None]
    if todo:
        shared = pool.share(pack(server_payload(server)))
        answers = pool.map([Call("generate", job.made, shared, job.who) for job in todo])
        for done, (job, reply) in enumerate(zip(todo, answers, strict=True), start=1 + len(jobs) - len(todo)):
            check_generation(reply, len(job.task.rows), job.who)
            replies[job.part, job.batch] = reply
            cache.add(job, reply)
            on_batch(done, len(jobs))
    found: dict[int, list[GenerateReply]] = {}
    for part, batch in sorted(replies):
        reply = replies[part, batch]
        assert reply is not None
        found.setdefault(part, []).append(reply)
    return found


def _gather(part: EvalPart, replies: list[GenerateReply]) -> Reported:
    heads = [reply.head for reply in replies if reply.head is not None]
    reports = [report for reply in replies for report in reply.reports]
    cut = [one for reply in replies for one in reply.cut]
    nll = np.concatenate([np.zeros((0, 2)), *(reply.nll for reply in replies)])
    return Reported(part, reports, np.concatenate(heads) if heads else None, cut, nll)


def _rows(federation: Federation, reported: Reported) -> list[dict[str, Any]]:
    rows = []
    part, head, nll, cut = reported.part, reported.head, reported.nll, reported.cut
    for i, (row, report) in enumerate(zip(part.rows, reported.reports, strict=True)):
        rows.append(
            {
                "study_id": federation.study_ids[row],
                "patient_id": federation.patient_ids[row],
                "hospital": part.hospital,
                "part": part.part,
                "view": part.view,
                "reference": federation.reports[row],
                "hypothesis": report,
                "labels": federation.labels[row].tolist(),
                "head_states": None if head is None else head[i].argmax(axis=-1).tolist(),
                "head_probs": None if head is None else head[i][:, 1].tolist(),
                "nll": nan if nll is None else float(nll[i, 0]),
                "tokens": nan if nll is None else float(nll[i, 1]),
                "cut": nan if cut is None else float(cut[i]),
            }
        )
    return rows


def _with_personal_view(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A seen hospital without a personal view of its own: its global rows count as its personal ones."""
    own = {(row["part"], row["hospital"]) for row in rows if row["view"] == PERSONAL_VIEW}
    copies = [
        {**row, "view": PERSONAL_VIEW}
        for row in rows
        if row["view"] == GLOBAL and row["part"] != "unseen" and (row["part"], row["hospital"]) not in own
    ]
    return rows + copies
