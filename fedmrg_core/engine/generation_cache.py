"""Batches of reports that a run has generated already, so that an interrupted generation continues with the rest.

One line of JSON per batch. Its key is a hash of everything that decides the reports: the code, the model, the
parameters, the films. A line that was cut off is skipped, and its batch generated again.
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
from fedmrg_core.algorithms.base import Algorithm, ServerState
from fedmrg_core.engine.memory.wire import Packed, unpack
from fedmrg_core.engine.messages import GenerateReply, GenerateTask
from fedmrg_core.engine.pool import ClientError
from fedmrg_core.engine.reply_check import check_generation
from fedmrg_core.hashes import core_sha256


@dataclass(frozen=True)
class GenerationJob:
    """Batch number `batch` of part number `part` of an evaluation.

    adapters: how many of them each film passes. private: reads the client's private state (the same for all batches
    of a part); None = the global view.
    """

    part: int
    batch: int
    task: GenerateTask
    who: str
    adapters: int
    private: Callable[[], Packed] | None = None

    def made(self) -> GenerateTask:
        """The task as it is sent."""
        return replace(self.task, private=self.private()) if self.private is not None else self.task

    @property
    def cost(self) -> int:
        """Films x adapters: more of either takes longer."""
        return len(self.task.rows) * max(1, self.adapters)


class GenerationCache:
    """The batches in one run folder's file. Without a file nothing is found and nothing is stored."""

    def __init__(self, file: Path | None = None, facts: Any = ()) -> None:
        """facts: what decides the reports and no argument of `begin` tells, such as the model's settings, the base's
        hash and the precision; anything with a faithful `repr`."""
        self._file, self._facts = file, repr(facts)
        self._lines: dict[str, dict[str, Any]] = {}
        self._private: dict[int, str] = {}
        if file is not None and file.exists():
            for line in file.read_bytes().splitlines():
                with suppress(ValueError, KeyError, TypeError):  # cut off when the run or the power was
                    found = json.loads(line)
                    self._lines[found["key"]] = found

    def begin(self, algorithm: Algorithm, server: ServerState, data_sha256: str) -> None:
        """State what the batches of this evaluation are generated with."""
        if self._file is not None:
            params = tree.sha256(server.tensors())
            weight = algorithm.prompt_weight()
            self._facts = repr((self._facts, core_sha256(), algorithm, weight, params, data_sha256))

    def find(self, job: GenerationJob) -> GenerateReply | None:
        """The reply to a batch, if the same code and parameters generated it before."""
        line = self._lines.get(self._key(job)) if self._lines else None
        if line is None:
            return None
        try:
            head = None if line["head"] is None else np.array(line["head"], dtype=np.float32)
            reply = GenerateReply(line["reports"], head, 0.0, line["cut"], np.array(line["nll"], dtype=np.float64))
            check_generation(reply, len(job.task.rows), job.who)
        except (KeyError, TypeError, ValueError, ClientError):
            return None
        return reply

    def add(self, job: GenerationJob, reply: GenerateReply) -> None:
        """Store a reply. There is no fsync: a batch that a power cut loses is generated again."""
        if self._file is None:
            return
        head = None if reply.head is None else reply.head.tolist()
        with self._file.open("a", encoding="utf-8") as file:
            facts = {"reports": reply.reports, "head": head, "cut": reply.cut, "nll": reply.nll.tolist()}
            line = json.dumps({"key": self._key(job), **facts})
            file.write(f"\n{line}\n")  # the first line break ends a line that was cut off

    def _key(self, job: GenerationJob) -> str:
        task = job.task
        facts = [self._facts, self._private_of(job), task.rows, task.oracle, task.client_id, task.round]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _private_of(self, job: GenerationJob) -> str:
        """Hash of the private state, computed once for all batches of a part."""
        if job.private is None:
            return ""
        if job.part not in self._private:
            self._private[job.part] = tree.sha256(tree.by_path(unpack(job.private())))
        return self._private[job.part]
