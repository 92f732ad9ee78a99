"""Writes a report for every film to be scored, over the same workers that trained, and keeps them in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.data.cache.federation import Federation
from fedmrg_core.engine.client_store import ClientStore
from fedmrg_core.engine.generation_cache import GenerationCache, GenerationJob
from fedmrg_core.engine.memory.wire import Packed, pack, unpack
from fedmrg_core.engine.messages import PERSONAL, GenerateReply, GenerateTask
from fedmrg_core.engine.pool import Call, Pool
from fedmrg_core.errors import choose, in_range, not_empty
from fedmrg_core.seeding import generator

if TYPE_CHECKING:
    import pandas as pd

GLOBAL, PERSONAL_VIEW, ORACLE = "global", "personal", "oracle"


@dataclass(frozen=True)
class EvaluateConfig:
    """What is scored, and how.

    parts: of "test" (seen hospitals' test studies), "unseen" (unseen hospitals' test studies), "val" (seen hospitals'
    validation studies: what to choose by). batch_size: films a generation batch; part of the result's identity.
    labeler: "rules" or "chexbert" (with `weights`). resamples: of the bootstrap. oracle: also write with the true
    label states as prompts, as the view "oracle": what a perfect diagnosis head would give; never ranked.
    """

    parts: tuple[str, ...]
    batch_size: int
    labeler: str
    weights: str
    resamples: int
    oracle: bool

    def __post_init__(self) -> None:
        not_empty("evaluate.parts", self.parts)
        for part in self.parts:
            choose("evaluate.parts", part, ("test", "unseen", "val"))
        in_range("evaluate.batch_size", self.batch_size, 1)
        choose("evaluate.labeler", self.labeler, ("rules", "chexbert"))
        in_range("evaluate.resamples", self.resamples, 0)


@dataclass(frozen=True)
class EvalPart:
    """Studies of one hospital that are scored together: rows of the federation's tables. personal: reads the private
    parameters to write with, when they are needed: they may lie on disk."""

    part: str
    view: str
    hospital: str
    rows: np.ndarray
    personal: Callable[[], Packed] | None = None


def plan(federation: Federation, store: ClientStore, algorithm: Algorithm, config: EvaluateConfig) -> list[EvalPart]:
    """What is to be written. The personal view exists for seen hospitals with personal parameters; elsewhere it
    equals the global view and is not written twice."""
    pieces = []
    for part in config.parts:
        for hospital in federation.hospitals:
            if hospital.seen == (part == "unseen"):
                continue
            rows = hospital.rows["val" if part == "val" else "test"]
            pieces.append(EvalPart(part, GLOBAL, hospital.name, rows))
            if hospital.seen and unpack(store.get(hospital.name)).get(PERSONAL):
                personal = partial(_personal, store, hospital.name)
                pieces.append(EvalPart(part, PERSONAL_VIEW, hospital.name, rows, personal))
            if config.oracle and algorithm.diagnosis:
                pieces.append(EvalPart(part, ORACLE, hospital.name, rows))
    return pieces


def _personal(store: ClientStore, hospital: str) -> Packed:
    return pack({PERSONAL: unpack(store.get(hospital))[PERSONAL]})


def evaluate(
    algorithm: Algorithm,
    federation: Federation,
    server: ServerState,
    store: ClientStore,
    pool: Pool,
    config: EvaluateConfig,
    seed: int,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
    kept: Path | None = None,
) -> pd.DataFrame:
    """One row per film and view: study_id, patient_id, hospital, part, view, reference, hypothesis, labels, head_*.

    kept: a file of JSON lines to which every batch goes as it is written, and from which those are taken that the
    same parameters wrote already (a run that was cut off in the middle); None = nothing is kept.
    """
    import pandas as pd

    pieces = plan(federation, store, algorithm, config)
    corpus = {h.name: [federation.reports[row] for row in h.rows["train"]] for h in federation.hospitals if h.seen}
    written: list[tuple[EvalPart, list[str], np.ndarray | None]] = []
    asked: list[EvalPart] = []
    for piece in pieces:
        draw = generator(seed, "replies", piece.part, piece.hospital)
        replies = algorithm.replies(corpus, piece.hospital, len(piece.rows), draw)
        if replies is None:
            asked.append(piece)
        else:
            written.append((piece, replies, None))

    replies_of = _write(algorithm, server, pool, asked, config, on_batch, kept)
    written += [_gather(piece, replies_of[number]) for number, piece in enumerate(asked)]
    rows = [row for piece, reports, head in written for row in _rows(federation, piece, reports, head)]
    return pd.DataFrame(_with_personal_view(rows))


def _write(
    algorithm: Algorithm,
    server: ServerState,
    pool: Pool,
    pieces: list[EvalPart],
    config: EvaluateConfig,
    on_batch: Callable[[int, int], None],
    kept: Path | None,
) -> list[list[GenerateReply]]:
    """The replies to every piece's batches, in their order; the costliest are sent first, so that none ends late and
    alone. What is sent first changes no bit: the batches are fixed."""
    jobs = [
        GenerationJob(number, place, task, f"hospital {piece.hospital}", path, piece.personal)
        for number, piece in enumerate(pieces)
        for path in [tuple(algorithm.reading_path(piece.personal is not None))]
        for place, task in enumerate(_batches(piece, config))
    ]
    jobs.sort(key=lambda job: (-job.cost, job.piece, job.place))
    known = GenerationCache(kept, server.params)
    replies = {(job.piece, job.place): known.find(job) for job in jobs}
    todo = [job for job in jobs if replies[job.piece, job.place] is None]
    if todo:
        shared = pool.share(pack({"shared": server.params}))
        answers = pool.map([Call("generate", job.made, shared, job.who) for job in todo])
        for done, (job, reply) in enumerate(zip(todo, answers, strict=True), start=1 + len(jobs) - len(todo)):
            replies[job.piece, job.place] = reply
            known.add(job, reply)
            on_batch(done, len(jobs))
    found: list[list[GenerateReply]] = [[] for _ in pieces]
    for key in sorted(replies):
        reply = replies[key]
        assert reply is not None
        found[key[0]].append(reply)
    return found


def _batches(piece: EvalPart, config: EvaluateConfig) -> list[GenerateTask]:
    """Fixed batches: a row's bits depend on the batch it is in."""
    size = config.batch_size
    chunks = [piece.rows[i : i + size] for i in range(0, len(piece.rows), size)]
    return [GenerateTask(tuple(chunk.tolist()), None, piece.view == ORACLE) for chunk in chunks]


def _gather(piece: EvalPart, replies: list[GenerateReply]) -> tuple[EvalPart, list[str], np.ndarray | None]:
    heads = [reply.head for reply in replies if reply.head is not None]
    reports = [report for reply in replies for report in reply.reports]
    return piece, reports, np.concatenate(heads) if heads else None


def _rows(federation: Federation, piece: EvalPart, reports: list[str], head: np.ndarray | None) -> list[dict[str, Any]]:
    rows = []
    for i, (row, report) in enumerate(zip(piece.rows, reports, strict=True)):
        rows.append(
            {
                "study_id": federation.study_ids[row],
                "patient_id": federation.patient_ids[row],
                "hospital": piece.hospital,
                "part": piece.part,
                "view": piece.view,
                "reference": federation.reports[row],
                "hypothesis": report,
                "labels": federation.labels[row].tolist(),
                "head_states": None if head is None else head[i].argmax(axis=-1).tolist(),
                "head_probs": None if head is None else head[i][:, 1].tolist(),
            }
        )
    return rows


def _with_personal_view(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a seen hospital has no personal view of its own, its personal view is its global one."""
    own = {(row["part"], row["hospital"]) for row in rows if row["view"] == PERSONAL_VIEW}
    copies = [
        {**row, "view": PERSONAL_VIEW}
        for row in rows
        if row["view"] == GLOBAL and row["part"] != "unseen" and (row["part"], row["hospital"]) not in own
    ]
    return rows + copies
