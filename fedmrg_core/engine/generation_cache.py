"""Batches of reports that are written already, by what decides their bits: parameters, films, path, prompts.

A run whose generation was cut off goes on from the batches that are done. One line of JSON a batch; a torn one is
passed over, and its batch written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedmrg_core import tree
from fedmrg_core.engine.memory.wire import Packed, unpack
from fedmrg_core.engine.messages import PERSONAL, GenerateReply, GenerateTask
from fedmrg_core.types import State


@dataclass(frozen=True)
class GenerationJob:
    """One batch to write: its piece and its place in it, the adapters that it is read with, and what reads the private
    parameters of those (the same for all batches of a piece), None = there are none."""

    piece: int
    place: int
    task: GenerateTask
    who: str
    path: tuple[str, ...]
    personal: Callable[[], Packed] | None = None

    def made(self) -> GenerateTask:
        """The task as it is sent."""
        return replace(self.task, personal=self.personal()) if self.personal is not None else self.task

    @property
    def cost(self) -> int:
        """Films x adapters on the way: more of either takes longer."""
        return len(self.task.rows) * max(1, len(self.path))


class GenerationCache:
    """The batches of one run folder's file, and what is added to it."""

    def __init__(self, file: Path | None, params: State) -> None:
        """file: None = nothing is found and nothing kept. params: the server's, which every batch is written with."""
        self._file = file
        self._params = tree.sha256(params) if file is not None else ""
        self._lines: dict[str, dict[str, Any]] = {}
        self._personal: dict[int, str] = {}
        if file is not None and file.exists():
            for line in file.read_bytes().splitlines():
                with suppress(ValueError):  # torn when the run or the power was cut
                    found = json.loads(line)
                    self._lines[found["key"]] = found

    def find(self, job: GenerationJob) -> GenerateReply | None:
        """The reply to a batch that the same parameters wrote before."""
        line = self._lines.get(self._key(job)) if self._lines else None
        if line is None:
            return None
        head = None if line["head"] is None else np.array(line["head"], dtype=np.float32)
        return GenerateReply(list(line["reports"]), head, 0.0)

    def add(self, job: GenerationJob, reply: GenerateReply) -> None:
        """Keep a reply. The file is not forced to the disk: what a power cut takes is only written again."""
        if self._file is None:
            return
        head = None if reply.head is None else reply.head.tolist()
        with self._file.open("a", encoding="utf-8") as file:
            line = json.dumps({"key": self._key(job), "reports": reply.reports, "head": head})
            file.write(f"\n{line}\n")  # apart from what a cut may have left before it

    def _key(self, job: GenerationJob) -> str:
        facts = [self._params, self._personal_of(job), job.task.rows, job.path, job.task.oracle]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _personal_of(self, job: GenerationJob) -> str:
        """Hash of the private parameters, made once for all batches of a piece."""
        if job.personal is None:
            return ""
        if job.piece not in self._personal:
            self._personal[job.piece] = tree.sha256(unpack(job.personal())[PERSONAL])
        return self._personal[job.piece]
